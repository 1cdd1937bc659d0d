"""Bad input, in quantity: whatever comes, there is an answer or a documented error, and soon."""

import io
import itertools
import os
import pickle
import re
import tempfile
import zipfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import data
from data import load_mnist

many = settings(
    max_examples=1_500,
    deadline=timedelta(seconds=5),  # a hang is a fault
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
few = settings(many, max_examples=300)
KEYS = ("x_train", "y_train", "x_test", "y_test")


LABELS = np.arange(10, dtype=np.uint8)
IMAGES = np.arange(7_840, dtype=np.uint32).reshape(10, 28, 28).astype(np.uint8)
ARRAYS = dict(zip(KEYS, (IMAGES, LABELS, IMAGES[::-1], LABELS[::-1]), strict=True))


def npz(compress=True, **changes) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(file, **ARRAYS | changes)
    return file.getvalue()


PACKED, PLAIN = npz(), npz(compress=False)


def entries(content: bytes) -> list[int]:
    """Where the entries of an archive's table of contents start."""
    return [match.start() for match in re.finditer(b"PK\1\2", content)]


@pytest.fixture(scope="module")
def path():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "mnist.npz"


def load(path: Path, content: bytes) -> tuple:
    path.write_bytes(content)
    return load_mnist(path)


def must_be_refused(path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match=r"mnist\.npz"):  # names the file
        load(path, content)


def must_load(path: Path, content: bytes, expected: dict = ARRAYS) -> None:
    found = itertools.chain(*load(path, content))
    for key, array in zip(KEYS, found, strict=True):
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(array, expected[key])


def may_be_refused(path: Path, content: bytes) -> None:
    try:
        splits = load(path, content)
    except ValueError as error:
        assert "mnist.npz" in str(error)
        return
    for images, labels in splits:
        assert images.dtype == labels.dtype == np.uint8
        assert images.shape == (len(labels), 28, 28)
        assert set(range(10)) == set(labels.tolist())


@many
@given(
    content=st.sampled_from([PACKED, PLAIN]),
    flips=st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 7)), min_size=1, max_size=8),
)
def test_flipped_bits(path, content, flips):
    content = bytearray(content)
    for place, bit in flips:
        content[place % len(content)] ^= 1 << bit
    may_be_refused(path, bytes(content))


@few
@given(content=st.sampled_from([PACKED, PLAIN]), place=st.integers(0, 2**31), bit=st.integers(0, 7))
def test_one_flipped_bit_never_changes_what_is_loaded(path, content, place, bit):
    flipped = bytearray(content)
    flipped[place % len(content)] ^= 1 << bit
    try:
        load(path, bytes(flipped))
    except ValueError:
        return
    must_load(path, bytes(flipped))


@few
@given(content=st.sampled_from([PACKED, PLAIN]), date=st.binary(min_size=4, max_size=4))
def test_whatever_the_date_in_a_file_it_loads(path, content, date):
    redated = bytearray(content)
    for entry in entries(content):
        redated[entry + 12 : entry + 16] = date
    must_load(path, bytes(redated))


@few
@given(comment=st.binary(max_size=300), other=st.binary(max_size=300))
def test_a_comment_and_further_members_do_not_matter(path, comment, other):
    content = io.BytesIO(PACKED)
    with zipfile.ZipFile(content, "a") as archive:
        archive.comment = comment
        archive.writestr("other", other)
    must_load(path, content.getvalue())


@many
@given(
    content=st.sampled_from([PACKED, PLAIN]),
    start=st.integers(0, 2**31),
    stop=st.integers(0, 2**31),
    junk=st.binary(max_size=40),
)
def test_truncated_and_interrupted_by_junk(path, content, start, stop, junk):
    start, stop = sorted((start % len(content), stop % len(content)))
    may_be_refused(path, content[:start] + junk + content[stop:])
    must_be_refused(path, content[:start])


@many
@given(
    key=st.sampled_from(KEYS),
    array=hnp.arrays(
        st.one_of(hnp.scalar_dtypes(), hnp.unicode_string_dtypes(max_len=3)),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
)
def test_foreign_arrays(path, key, array):
    must_be_refused(path, npz(**{key: array}))


@few
@given(
    others=st.tuples(*[st.lists(st.integers(0, 9), max_size=5)] * 2),
    seed=st.integers(0, 2**32),
    order=st.sampled_from("CF"),
    compress=st.booleans(),
)
def test_all_arrays_of_the_right_form_are_loaded_as_they_are(path, others, seed, order, compress):
    rng = np.random.default_rng(seed)
    arrays = {}
    for split, more in zip(("train", "test"), others, strict=True):
        labels = rng.permutation([*range(10), *more]).astype(np.uint8)
        images = rng.integers(256, size=(len(labels), 28, 28), dtype=np.uint8)
        arrays |= {f"x_{split}": np.asarray(images, order=order), f"y_{split}": labels}
    must_load(path, npz(compress, **arrays), arrays)


@many
@given(content=st.binary(max_size=300))
def test_no_archive_at_all(path, content):
    must_be_refused(path, content)


def test_a_bomb_is_not_unpacked(path, monkeypatch):
    """A small file that unpacks to a large one is refused by its own table of contents."""
    monkeypatch.setattr(data, "MOST_BYTES", 9_000_000)  # so that the test packs little
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for key in KEYS:
            with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                count = 4 * 784
                np.lib.format.write_array_header_1_0(
                    member,
                    {"descr": "|u1", "fortran_order": False, "shape": (count, 28, 28)},
                )
                for _ in range(count // 784):
                    member.write(bytes(784 * 784))
    assert path.stat().st_size < 20_000
    with pytest.raises(ValueError, match=r"mnist\.npz: .* unpack to [0-9,]+ bytes"):
        load_mnist(path)


def test_a_gigabyte_is_the_most_that_is_unpacked(path):
    content, first = bytearray(PLAIN), entries(PLAIN)[0]
    sizes = [int.from_bytes(PLAIN[entry + 24 : entry + 28], "little") for entry in entries(PLAIN)]
    for total, answer in ((2**30, must_load), (2**30 + 1, must_be_refused)):
        claim = total - sum(sizes[1:])
        content[first + 24 : first + 28] = claim.to_bytes(4, "little")
        answer(path, bytes(content))
    with pytest.raises(ValueError, match="unpack to 1,073,741,825 bytes"):
        load_mnist(path)


@pytest.mark.parametrize("count", [2**28, 2**38, 2**60])
def test_an_array_that_claims_to_be_huge_is_refused(path, count):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (count, 28, 28)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        for key in KEYS:
            archive.writestr(f"{key}.npy", header.getvalue())
    with pytest.raises(ValueError, match=r"mnist\.npz"):
        load_mnist(path)


class Touch:
    """Unpickled, it would make a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("key", KEYS)
def test_nothing_in_a_file_is_executed(path, tmp_path, key):
    traps = np.array([Touch(tmp_path / "trap")] * 10)
    path.write_bytes(npz(**{key: traps}))
    with pytest.raises(ValueError, match=r"mnist\.npz"):
        load_mnist(path)
    assert not (tmp_path / "trap").exists()
    pickle.loads(pickle.dumps(Touch(tmp_path / "trap")))
    assert (tmp_path / "trap").exists()  # the trap works
