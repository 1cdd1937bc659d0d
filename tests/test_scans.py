import numpy as np

from sampling.scans import LARGEST, shrink, undo


def rings(sizes):
    """Scans of zeros, with pens of several widths."""
    scans = np.zeros((len(sizes), LARGEST, LARGEST), bool)
    for scan, size in zip(scans, sizes, strict=True):
        y, x = (np.mgrid[:size, :size] + 0.5) / size * 2 - 1
        radius = np.hypot(y, (x - 0.2 * y) / 0.6)
        scan[:size, :size] = (radius < 1) & (radius > 0.45 + 0.3 * y)
        rows = np.flatnonzero(scan.any(axis=1))
        assert rows[0] == 0 and rows[-1] == size - 1  # as high as the makers cut it out
    return scans


def test_shrink_is_the_makers_program():
    """Pixel by pixel: how much of each pixel of the box a pixel of the scan covers."""
    sizes = np.array([22, 33, 40, 57, 80])
    scans = rings(sizes)
    for scan, size, image in zip(scans, sizes, shrink(scans, sizes), strict=True):
        box, step = np.zeros((20, 20)), 20 / size
        for place in np.argwhere(scan):
            sides = []
            for start in step * place:
                ends = np.arange(20)
                covered = np.minimum(start + 0.99 * step, ends + 1) - np.maximum(start, ends)
                inside = (start > ends - 1e-9) & (start + 0.99 * step < ends + 1)
                sides.append(np.where(inside, step, covered.clip(0)))
            box += np.outer(*sides)
        levels = 255 * box / box.max()
        ends = [np.flatnonzero(image.any(axis=axis)) for axis in (1, 0)]
        top, left = ends[0][0], ends[1][0] - (20 - np.ptp(ends[1]) - 1) // 2
        found = 255 * image[top : top + 20, left : left + 20]
        assert np.abs(found - levels).max() < 1.01  # rounded
        assert (found - levels)[(levels > 0) & (levels < 127)].min() > -0.01  # up if dark
        assert (found - levels)[levels > 129].max() < 0.01  # and down if light
        middle = np.mgrid[:28, :28].reshape(2, -1) @ image.ravel() / image.sum()
        assert np.abs(middle - 14).max() <= 0.5


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


def test_undo_finds_scans_of_real_images(mnist):
    """Half of them give the same image, level by level; an error of one pixel would be 1/255."""
    images = mnist[1][0][:24]
    scans, sizes, _ = undo(images)
    again = np.round(255 * shrink(scans, sizes))
    assert ((again == images).mean(axis=(1, 2)) > 0.99).mean() > 0.5
    assert np.abs(again - images).mean() < 0.15
