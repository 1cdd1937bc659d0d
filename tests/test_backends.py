import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# Saves what models that were saved under one backend predict under another.
PREDICT = """
import sys
import keras
import numpy as np
import sampling.sampler

folder = sys.argv[1]
images = np.load(folder + "/images.npy")
predictor = keras.saving.load_model(folder + "/predictor.keras")
sampler = keras.saving.load_model(folder + "/sampler.keras")
chain, drawn = predictor.generate(images, 5), sampler.sample(images, 2, seed=0)
np.savez(folder + "/found.npz", chain=chain, drawn=drawn)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_what_one_backend_saves_another_loads_and_predicts_the_same(backend, model, test, tmp_path):
    pytest.importorskip(backend)
    from sampling.sampler import NextImageSampler

    images = test.images[test.draw(6)[1][:, :4]]
    sampler = NextImageSampler(model, codes=16, units=16, blocks=1)
    sampler.fit_codes(*test.sample(200)[:2])
    rng = np.random.default_rng(0)  # untrained, its velocities are 0, whatever it reads
    weights = sampler.velocity.get_weights()
    sampler.velocity.set_weights([w + 0.05 * rng.standard_normal(w.shape) for w in weights])
    model.save(tmp_path / "predictor.keras")
    sampler.save(tmp_path / "sampler.keras")
    np.save(tmp_path / "images.npy", images)
    root, environment = Path(__file__).parent.parent, {**os.environ, "KERAS_BACKEND": backend}
    command = [sys.executable, "-c", PREDICT, str(tmp_path)]
    assert subprocess.run(command, cwd=root, env=environment).returncode == 0
    with np.load(tmp_path / "found.npz") as found:
        np.testing.assert_allclose(found["chain"], model.generate(images, 5), atol=1e-5)
        # Levels of grey are drawn: a rounding error in the probabilities may change one.
        assert (found["drawn"] != sampler.sample(images, 2, seed=0)).mean() < 0.001
