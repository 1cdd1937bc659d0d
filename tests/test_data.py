import builtins
import hashlib
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import data
from data import flatten, load_mnist


def small_mnist():
    """Arrays of the right layout: two images of each digit in each split."""
    labels = np.arange(20, dtype=np.uint8) % 10
    images = np.arange(20 * 784, dtype=np.uint32).reshape(20, 28, 28).astype(np.uint8)
    return {"x_train": images, "y_train": labels, "x_test": images[::-1], "y_test": labels[::-1]}


def write(path, **changes):
    arrays = {key: value for key, value in (small_mnist() | changes).items() if value is not None}
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("split", "kind", "header", "md5"),
    [
        (0, 0, (0x803, 60000, 28, 28), "6bbc9ace898e44ae57da46a324031adb"),
        (0, 1, (0x801, 60000), "a25bea736e30d166cdddb491f175f624"),
        (1, 0, (0x803, 10000, 28, 28), "2646ac647ad5339dbf082846283269ea"),
        (1, 1, (0x801, 10000), "27ae3e4e09519cfbb04c329615203637"),
    ],
)
def test_the_shipped_file_is_mnist_to_the_byte(mnist, split, kind, header, md5):
    idx = np.array(header, ">u4").tobytes() + mnist[split][kind].tobytes()
    assert hashlib.md5(idx).hexdigest() == md5


def test_the_shipped_file_is_opened_for_reading_only(monkeypatch):
    """It may lie where the user cannot write."""
    modes, real_open = [], open

    def spy(file, mode="r", *arguments, **options):
        modes.append(mode)
        return real_open(file, mode, *arguments, **options)

    monkeypatch.setattr(builtins, "open", spy)
    load_mnist()
    assert not any(set(mode) & set("wax+") for mode in modes)


def test_a_changed_shipped_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(data, "SHIPPED", write(tmp_path / "mnist.npz"))
    with pytest.raises(ValueError, match=r"mnist\.npz: SHA-256"):
        load_mnist()


def test_without_the_shipped_file_keras_downloads(monkeypatch, tmp_path):
    keras_datasets = types.ModuleType("keras.datasets")
    keras_datasets.mnist = types.SimpleNamespace(load_data=lambda: "downloaded")
    monkeypatch.setitem(sys.modules, "keras", types.ModuleType("keras"))
    monkeypatch.setitem(sys.modules, "keras.datasets", keras_datasets)
    monkeypatch.setattr(data, "SHIPPED", tmp_path / "absent.npz")
    assert load_mnist() == "downloaded"


def test_reads_any_file_of_the_same_layout(tmp_path):
    (x_train, y_train), (x_test, y_test) = load_mnist(str(write(tmp_path / "small.npz")))
    expected = small_mnist()
    np.testing.assert_array_equal(x_train, expected["x_train"])
    np.testing.assert_array_equal(y_train, expected["y_train"])
    np.testing.assert_array_equal(x_test, expected["x_test"])
    np.testing.assert_array_equal(y_test, expected["y_test"])


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"y_test": None}, "lacks y_test;"),
        (
            {"x_test": None, "y_test": None},
            "lacks x_test, y_test; expected x_train, y_train, x_test, y_test",
        ),
        ({"x_train": np.zeros((20, 28, 27), np.uint8)}, r"x_train is uint8 \(20, 28, 27\)"),
        ({"x_train": np.zeros((20, 784), np.uint8)}, r"x_train is uint8 \(20, 784\)"),
        ({"x_train": np.zeros((20, 28, 28), np.float32)}, "x_train is float32"),
        ({"x_train": np.array(3, np.uint8)}, r"x_train is uint8 \(\)"),
        ({"y_test": np.zeros((20, 1), np.uint8)}, r"y_test is uint8 \(20, 1\)"),
        ({"y_test": np.zeros(20, np.int64)}, "y_test is int64"),
        ({"y_test": np.full(20, 10, np.uint8)}, "label 10"),
        ({"x_test": np.zeros((19, 28, 28), np.uint8)}, "19 images but 20 labels in test"),
        (
            {"y_train": np.minimum(np.arange(20) % 10, 8).astype(np.uint8)},
            "no train image of digit 9",
        ),
        (
            {"x_test": np.zeros((0, 28, 28), np.uint8), "y_test": np.zeros(0, np.uint8)},
            "no test image of digit 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
        ),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path, changes, fault):
    path = write(tmp_path / "bad.npz", **changes)
    with pytest.raises(ValueError, match=rf"bad\.npz: .*{fault}"):
        load_mnist(path)


def test_a_truncated_or_foreign_file_is_refused(tmp_path):
    whole = write(tmp_path / "whole.npz").read_bytes()
    array = tmp_path / "array.npy"
    np.save(array, np.zeros(3))
    for content in (whole[: len(whole) // 2], whole[:3], b"", b"not a zip", array.read_bytes()):
        path = tmp_path / "bad.npz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.npz: not a readable"):
            load_mnist(path)


def test_never_unpickles(tmp_path):
    objects = write(tmp_path / "objects.npz", y_train=np.array([{}] * 20, object))
    with pytest.raises(ValueError, match="not a readable"):
        load_mnist(objects)
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"x_train": 1}))
    with pytest.raises(ValueError, match="not a readable"):
        load_mnist(tmp_path / "pickle.npz")


def test_a_missing_path_is_not_found(tmp_path):
    for path in (tmp_path / "absent.npz", tmp_path):
        with pytest.raises(FileNotFoundError, match=path.name):
            load_mnist(path)


def test_data_preprocessing_and_handwriting_never_import_keras():
    code = (
        "import sys, data, preprocessing, handwriting; data.load_mnist(); "
        "sys.exit(any(name in sys.modules for name in ('keras', 'tensorflow', 'jax')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@given(
    st.one_of(
        hnp.arrays(np.uint8, st.sampled_from([(28, 28), (3, 28, 28), (2, 4, 28, 28), (0, 28, 28)])),
        hnp.arrays(
            st.sampled_from([np.float32, np.float64]),
            st.sampled_from([(28, 28), (2, 28, 28)]),
            elements=st.floats(0, 1, width=32),
        ),
    )
)
def test_flatten_keeps_every_pixel_in_its_place(images):
    flat = flatten(images)
    assert flat.dtype == np.float32
    assert flat.shape == (*images.shape[:-2], 784)
    white = 255 if images.dtype == np.uint8 else 1
    np.testing.assert_allclose(flat.reshape(images.shape), images / np.float64(white), rtol=1e-6)
    np.testing.assert_array_equal(flatten(flat), flat)


def test_flatten_takes_lists_and_wider_integers():
    image = np.full((28, 28), 255)
    assert flatten([image, image]).shape == (2, 784)
    assert flatten(image.tolist()).max() == 1


@pytest.mark.parametrize(
    ("images", "fault"),
    [
        (
            np.zeros((28, 27), np.uint8),
            r"shape \(28, 27\); expected \(\.\.\., 28, 28\) or \(\.\.\., 784\)",
        ),
        (np.uint8(3), r"shape \(\)"),
        (np.zeros((28, 28), bool), "are bool"),
        (np.zeros((28, 28), complex), "are complex"),
        (np.full((28, 28), "x"), "are <U1"),
        (np.full((28, 28), 1.5), r"from 1\.5 to 1\.5"),
        (np.full((28, 28), 255.0), r"from 255\.0 .* in \[0, 1\]"),
        (np.full((28, 28), -1), r"from -1 .* in \[0, 255\]"),
        (np.full((28, 28), 256), "from 256"),
        (np.full((28, 28), np.nan), "without NaN"),
        ([np.zeros((28, 28)), np.zeros((27, 28))], "differ in shape"),
    ],
)
def test_flatten_says_what_is_wrong(images, fault):
    with pytest.raises(ValueError, match=fault):
        flatten(images)
