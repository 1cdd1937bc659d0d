import numpy as np

from sampling.scans import LARGEST_SCAN, shrink, undo


def rings(sizes):
    """Scans of zeros, with pens of several widths."""
    scans = np.zeros((len(sizes), LARGEST_SCAN, LARGEST_SCAN), bool)
    for scan, size in zip(scans, sizes, strict=True):
        y, x = (np.mgrid[:size, :size] + 0.5) / size * 2 - 1
        radius = np.hypot(y, (x - 0.2 * y) / 0.6)
        scan[:size, :size] = (radius < 1) & (radius > 0.45 + 0.3 * y)
        rows = np.flatnonzero(scan.any(axis=1))
        assert rows[0] == 0 and rows[-1] == size - 1  # as high as the makers cut it out
    return scans


def test_undo_finds_the_scan():
    sizes = np.array([22, 31, 40, 47, 55, 62])
    scans = rings(sizes)
    images = shrink(scans, sizes)
    found, found_sizes, corners = undo(images)
    assert found_sizes.tolist() == sizes.tolist()
    assert (found != scans).sum(axis=(1, 2)).max() <= 4
    middles = [np.mgrid[:80, :80].reshape(2, -1) @ scan.ravel() / scan.sum() for scan in scans]
    wanted = 14.5 - (np.array(middles) + 0.5) * 20 / sizes[:, None]  # to the middle of 28 pixels
    assert np.abs(corners - wanted).max() < 0.6


def test_undo_finds_the_scans_of_real_images_which_shrink_to_them(mnist):
    """Most of them give the same image, level by level: `shrink` is the makers' program."""
    images = mnist[1][0][:24]
    scans, sizes, _ = undo(images)
    again = np.round(255 * shrink(scans, sizes))
    assert ((again == images).mean(axis=(1, 2)) > 0.99).mean() > 0.6  # 17 of 24
    assert np.abs(again - images).mean() < 0.15
