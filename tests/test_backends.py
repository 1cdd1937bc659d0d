import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
OTHERS = [name for name in ("tensorflow", "jax", "torch") if name != keras.backend.backend()]

# Saves what a model that was saved under one backend predicts under another.
PREDICT = """
import sys
import keras
import numpy as np
import sampler

folder = sys.argv[1]
images = np.load(folder + "/images.npy")
predictor = keras.saving.load_model(folder + "/predictor.keras")
drawer = keras.saving.load_model(folder + "/sampler.keras")
np.savez(
    folder + "/found.npz",
    next=predictor.predict_next(images),
    chain=predictor.generate(images, 5),
    drawn=drawer.sample(images, 2, seed=0),
)
"""


@pytest.mark.parametrize("backend", OTHERS)
def test_what_one_backend_saves_another_loads_and_predicts_the_same(backend, model, test, tmp_path):
    if not find_spec(backend):
        pytest.skip(f"{backend} is not installed")
    from sampler import NextImageSampler

    images = test.images[test.draw(6)[1][:, :4]]
    sampler = NextImageSampler(model, codes=16, units=16, blocks=1)
    sampler.adapt(*test.sample(200)[:2])
    rng = np.random.default_rng(0)  # untrained, its velocities are 0, whatever it reads
    sampler.velocity.set_weights(
        [
            weights + 0.05 * rng.standard_normal(weights.shape)
            for weights in sampler.velocity.get_weights()
        ]
    )
    model.save(tmp_path / "predictor.keras")
    sampler.save(tmp_path / "sampler.keras")
    np.save(tmp_path / "images.npy", images)
    run = subprocess.run(
        [sys.executable, "-c", PREDICT, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    assert run.returncode == 0
    with np.load(tmp_path / "found.npz") as found:
        np.testing.assert_allclose(found["next"], model.predict_next(images), atol=1e-5)
        np.testing.assert_allclose(found["chain"], model.generate(images, 5), atol=1e-5)
        # Levels of grey are drawn: a rounding error in the chances may change one.
        assert (found["drawn"] != sampler.sample(images, 2, seed=0)).mean() < 0.001
