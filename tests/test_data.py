import hashlib
import subprocess
import sys
import types
import zipfile

import numpy as np
import pytest

import data
from data import flatten, load_mnist

KEYS = ("x_train", "y_train", "x_test", "y_test")
LABELS = np.arange(10, dtype=np.uint8)
IMAGES = np.random.default_rng(0).integers(256, size=(10, 28, 28), dtype=np.uint8)
ARRAYS = dict(zip(KEYS, (IMAGES, LABELS, IMAGES[::-1], LABELS[::-1]), strict=True))


def test_the_shipped_file_is_mnist_to_the_byte():
    expected = {  # the four files of MNIST, without their headers, have these MD5 sums with them
        "6bbc9ace898e44ae57da46a324031adb": (0x803, 60_000, 28, 28),
        "a25bea736e30d166cdddb491f175f624": (0x801, 60_000),
        "2646ac647ad5339dbf082846283269ea": (0x803, 10_000, 28, 28),
        "27ae3e4e09519cfbb04c329615203637": (0x801, 10_000),
    }
    for array, (md5, header) in zip(sum(load_mnist(), ()), expected.items(), strict=True):
        assert hashlib.md5(np.array(header, ">u4").tobytes() + array.tobytes()).hexdigest() == md5


def test_the_shipped_file_may_be_absent_but_not_changed(monkeypatch, tmp_path):
    downloads = types.SimpleNamespace(mnist=types.SimpleNamespace(load_data=lambda: "downloaded"))
    monkeypatch.setitem(sys.modules, "keras.datasets", downloads)
    monkeypatch.setitem(sys.modules, "keras", types.SimpleNamespace(datasets=downloads))
    path = tmp_path / "mnist.npz"
    monkeypatch.setattr(data, "SHIPPED", path)
    assert load_mnist() == "downloaded"
    for missing in (path, tmp_path):  # one that was asked for is not replaced
        with pytest.raises(FileNotFoundError, match=missing.name):
            load_mnist(missing)
    path.write_bytes(b"other bytes")
    with pytest.raises(ValueError, match=r"mnist\.npz: SHA-256"):
        load_mnist()


@pytest.mark.parametrize("suffix", [".npy", ""])  # NumPy reads members under either name
def test_reads_any_file_of_the_same_layout_that_fits_into_memory(tmp_path, monkeypatch, suffix):
    path = tmp_path / "small.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for key, array in {"more": IMAGES, **ARRAYS}.items():
            with archive.open(key + suffix, "w") as member:
                np.save(member, array)
    for array, key in zip(sum(load_mnist(str(path)), ()), KEYS, strict=True):
        np.testing.assert_array_equal(array, ARRAYS[key], strict=True)
    assert data.MOST_BYTES == 2**30
    size = sum(member.file_size for member in archive.infolist())
    monkeypatch.setattr(data, "MOST_BYTES", size)
    load_mnist(path)
    monkeypatch.setattr(data, "MOST_BYTES", size - 1)
    with pytest.raises(ValueError, match=rf"small\.npz: .* unpacks to {size:,} bytes"):
        load_mnist(path)


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
