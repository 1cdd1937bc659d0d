import keras
import numpy as np
import pytest

import sampling.sampler  # noqa: F401  # Keras has to know the classes
from studies.report import ROOT, in_processes


def predictions(images):
    """Those of two models that were saved on TensorFlow and on JAX."""
    models = [ROOT / "models" / f"{name}.keras" for name in ("next_image", "sampler")]
    predictor, sampler = map(keras.saving.load_model, models)
    return predictor.generate(images, 5), sampler.sample(images, 2, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_model_predicts_the_same_whichever_backend_saved_and_whichever_loads_it(backend, images):
    pytest.importorskip(backend)
    ((chain, drawn),) = in_processes(predictions, [images], KERAS_BACKEND=backend)
    own_chain, own_drawn = predictions(images)
    np.testing.assert_allclose(chain, own_chain, atol=1e-5)
    # Pixels are drawn: a rounding error in a probability may change one, and those after it.
    assert (drawn != own_drawn).mean() < 0.001
