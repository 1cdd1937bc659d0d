import hashlib
import io
import subprocess
import sys
import types
import zipfile

import numpy as np
import pytest

import data
from data import check_count, flatten, load_mnist

KEYS = ("x_train", "y_train", "x_test", "y_test")
LABELS = np.arange(10, dtype=np.uint8)
IMAGES = np.random.default_rng(0).integers(256, size=(10, 28, 28), dtype=np.uint8)
ARRAYS = dict(zip(KEYS, (IMAGES, LABELS, IMAGES[::-1], LABELS[::-1]), strict=True))


def npz(**changes) -> bytes:
    file = io.BytesIO()
    np.savez(file, **{key: array for key, array in (ARRAYS | changes).items() if array is not None})
    return file.getvalue()


def check_small(found):
    for array, key in zip(sum(found, ()), KEYS, strict=True):
        np.testing.assert_array_equal(array, ARRAYS[key], strict=True)


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
    path.write_bytes(npz())
    with pytest.raises(ValueError, match=r"mnist\.npz: SHA-256"):
        load_mnist()


@pytest.mark.parametrize("suffix", [".npy", ""])  # NumPy reads members under either name
def test_reads_any_file_of_the_same_layout_that_fits_into_memory(tmp_path, monkeypatch, suffix):
    path = tmp_path / "small.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for key, array in {"more": IMAGES, **ARRAYS}.items():
            with archive.open(key + suffix, "w") as member:
                np.save(member, array)
    check_small(load_mnist(str(path)))
    assert data.MOST_BYTES == 2**30
    size = sum(member.file_size for member in archive.infolist())
    monkeypatch.setattr(data, "MOST_BYTES", size)
    check_small(load_mnist(path))
    monkeypatch.setattr(data, "MOST_BYTES", size - 1)
    with pytest.raises(ValueError, match=rf"small\.npz: .* unpacks to {size:,} bytes"):
        load_mnist(path)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (npz(x_test=None, y_test=None), "lacks x_test, y_test; expected x_train, y_train, x_te"),
        (npz(x_train=IMAGES[..., :27]), r"x_train is uint8 \(10, 28, 27\), expected uint8"),
        (npz(x_train=IMAGES / 255), "x_train is float64"),
        (npz(y_test=LABELS[:, None]), r"y_test is uint8 \(10, 1\), expected uint8 \(n,\)"),
        (npz(y_test=LABELS + np.uint8(1)), "y_test holds the label 10, expected 0 to 9"),
        (npz(x_test=IMAGES[1:]), "9 images but 10 labels in test"),
        (npz(y_train=np.minimum(LABELS, 8)), "no train image of digit 9$"),
        (npz(x_test=IMAGES[:0], y_test=LABELS[:0]), "no test image of digit 0, 1, .*, 8, 9$"),
        (npz(y_train=np.array([{}] * 10)), "not a readable .npz file.*allow_pickle"),
        # Its first array says that it has 784 terabytes.
        (npz().replace(b"(10, 28, 28), }" + b" " * 10, b"(999999999999, 28, 28), }", 1), "not a"),
        (npz()[:5_000], "not a readable"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path, content, fault):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(ValueError, match=rf"^\S*bad\.npz: .*{fault}"):
        load_mnist(tmp_path / "bad.npz")


def test_what_needs_no_network_never_imports_keras():
    code = (
        "import sys, data, preprocessing, augmentation, plotting, handwriting.page; "
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


def test_flatten_says_what_is_wrong():
    for images, fault in (
        (np.zeros((28, 27)), r"shape \(28, 27\); expected \(\.\.\., 28, 28\) or \(\.\.\., 784\)"),
        (np.uint8(3), r"shape \(\)"),
        (np.zeros((28, 28), bool), "are bool; expected integers"),
        (np.full((28, 28), 1.001), r"from 1\.001 to 1\.001"),
        (np.full((28, 28), -0.001), r"from -0\.001 .* in \[0, 1\]"),
        (np.full((28, 28), -1), r"from -1 .* in \[0, 255\]"),
        (np.full((28, 28), 256), "from 256"),
        (np.full((28, 28), np.nan), "without NaN"),
        ([np.zeros((28, 28)), np.zeros((27, 28))], "differ in shape"),
    ):
        with pytest.raises(ValueError, match=fault):
            flatten(images)


def test_a_count_is_an_integer_of_at_least_one():
    for count in (1, 2, np.int64(1)):
        assert check_count(count, "n") is None
    for count in (0, -1, 2.5, 1.0, np.nan, None, "3"):
        with pytest.raises(ValueError, match=f"^n is {count!r}; expected an integer of at least 1"):
            check_count(count, "n")
