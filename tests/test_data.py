import hashlib
import subprocess
import sys

import numpy as np
import pytest

import data
from data import flatten, load_mnist

IMAGES = np.random.default_rng(0).integers(256, size=(10, 28, 28), dtype=np.uint8)


def test_the_shipped_file_is_mnist_to_the_byte():
    expected = {  # the four files of MNIST, without their headers, have these MD5 sums with them
        "6bbc9ace898e44ae57da46a324031adb": (0x803, 60_000, 28, 28),
        "a25bea736e30d166cdddb491f175f624": (0x801, 60_000),
        "2646ac647ad5339dbf082846283269ea": (0x803, 10_000, 28, 28),
        "27ae3e4e09519cfbb04c329615203637": (0x801, 10_000),
    }
    for array, (md5, header) in zip(sum(load_mnist(), ()), expected.items(), strict=True):
        assert hashlib.md5(np.array(header, ">u4").tobytes() + array.tobytes()).hexdigest() == md5


def test_a_changed_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(data, "DATASETS", tmp_path)
    (tmp_path / "mnist.npz").write_bytes(b"other bytes")
    with pytest.raises(ValueError, match=r"mnist\.npz: SHA-256"):
        load_mnist()


def test_what_needs_no_network_never_imports_keras():
    code = (
        "import sys, data, preprocessing, augmentation, plotting, handwriting.pad; "
        "data.load_mnist(); "
        "sys.exit(any(name in sys.modules for name in ('keras', 'tensorflow', 'jax')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("shape", [(28, 28), (2, 4, 28, 28), (0, 28, 28)])
@pytest.mark.parametrize("kind", ["uint8", "int64", "float32", "float64"])
def test_flatten_keeps_every_pixel_in_its_place(shape, kind):
    images = np.resize(IMAGES, shape)
    images.flat[:2] = 0, 255
    expected = (images / np.float32(255)).reshape(*shape[:-2], 784)
    given = (images / np.float32(255) if kind[0] == "f" else images).astype(kind)
    for form in (given, given.reshape(expected.shape), *([given.tolist()] if given.size else [])):
        np.testing.assert_array_equal(flatten(form), expected, strict=True)
    np.testing.assert_array_equal(flatten(images > 9), flatten((images > 9) * 255), strict=True)
