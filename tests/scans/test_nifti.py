"""NIfTI: its content decides, units and forms count, negative intensities are shifted, axes may run as they like."""

import gzip
import itertools
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from numpy.typing import NDArray

from brain_tumor.scans import cases, discovery, grids, intensities, nifti, volumes
from brain_tumor.scans.cases import Slices
from brain_tumor.scans.volumes import Grid, Volume

USED = "; the sform is used"
AFFINE = np.diag([1.0, 1.2, 5.0, 1.0])


@pytest.fixture(scope="module")
def values() -> NDArray[np.float32]:
    """A volume of 20 x 24 x 10 voxels, 0 outside, brightest on the patient's right front."""
    i, j, k = np.mgrid[:20, :24, :10]
    inside = ((i - 10) / 8) ** 2 + ((j - 12) / 10) ** 2 + ((k - 5) / 4) ** 2 < 1
    drawn = np.where(inside, np.random.default_rng(0).uniform(1, 150, inside.shape), 0)
    drawn[15, 16, 5] = 200
    return drawn.astype(np.float32)


def save(path: Path, values: NDArray[Any], affine: NDArray[Any] | None = AFFINE, **header: Any) -> Path:
    made: Any = nibabel.Nifti1Image(values, affine)  # type: ignore[no-untyped-call]
    for name, value in header.items():
        made.header[name] = value
    nibabel.save(made, path)
    return path


def read(path: Path, preset: str = "maximum") -> Slices | str:
    (case,) = cases.find(str(path), {}).cases
    return cases.try_read(case, preset, False)


def good(path: Path, preset: str = "maximum") -> Slices:
    found = read(path, preset)
    assert isinstance(found, Slices), found
    return found


def test_content_decides_not_the_name(values: NDArray[np.float32], tmp_path: Path) -> None:
    plain = good(save(tmp_path / "plain.nii", values))
    content = (tmp_path / "plain.nii").read_bytes()
    (tmp_path / "not_packed.nii.gz").write_bytes(content)
    (tmp_path / "packed.nii").write_bytes(gzip.compress(content))
    (tmp_path / "no_suffix").write_bytes(gzip.compress(content))
    for name in ("not_packed.nii.gz", "packed.nii", "no_suffix"):
        found = good(tmp_path / name)
        np.testing.assert_array_equal(found.images, plain.images)
        assert found.volume is not None
        assert found.grid is not None
        nifti.write_mask(tmp_path / "mask.nii.gz", found.grid.volume(found.images[..., 0]), AFFINE, tmp_path / name)
        mask: Any = nibabel.load(tmp_path / "mask.nii.gz")
        np.testing.assert_array_equal(mask.affine, found.volume.affine)
    (tmp_path / "picture.nii.gz").write_bytes(gzip.compress(b"\x89PNG\r\n\x1a\n" + b"\0" * 400))
    assert read(tmp_path / "picture.nii.gz") == "a gzipped picture, which is not read; unpack it"


def test_a_volume_of_two_files_is_one_case(values: NDArray[np.float32], tmp_path: Path) -> None:
    pair: Any = nibabel.Nifti1Pair(values, AFFINE)  # type: ignore[no-untyped-call]
    nibabel.save(pair, tmp_path / "scan.img")
    expected = good(save(tmp_path.parent / "alone.nii", values)).images
    for given in ("", "scan.img", "scan.hdr"):
        (source,) = discovery.discover([str(tmp_path / given)]).sources
        assert source.paths == (tmp_path / "scan.hdr", tmp_path / "scan.img")
        np.testing.assert_array_equal(good(tmp_path / given).images, expected)
    (tmp_path / "scan.img").unlink()
    assert read(tmp_path / "scan.hdr") == "a header without its voxels: scan.img is not beside it"
    nibabel.save(nibabel.AnalyzeImage(values, None), tmp_path / "old.img")  # type: ignore[no-untyped-call]
    assert "an Analyze volume, which does not say where left and right are" in str(read(tmp_path / "old.hdr"))


@pytest.mark.parametrize(("code", "factor"), [(0, 1), (1, 1e-3), (2, 1), (3, 1e3)])
def test_units_are_heeded(code: int, factor: float, values: NDArray[np.float32], tmp_path: Path) -> None:
    path = save(tmp_path / "scan.nii", values, np.diag([factor, factor * 1.2, factor * 5, 1]), xyzt_units=code)
    found = good(path)
    assert found.warnings == []
    assert found.volume is not None
    assert found.volume.millilitres == pytest.approx(0.006)
    np.testing.assert_allclose(np.diff(found.grid.positions if found.grid else []), 5, rtol=1e-5)
    nifti.write_mask(tmp_path / "mask.nii", (values > 0).astype(np.uint8), found.volume.affine, path)
    scan: Any = nibabel.load(path)
    mask: Any = nibabel.load(tmp_path / "mask.nii")
    np.testing.assert_array_equal(mask.affine, scan.affine)
    assert mask.header["xyzt_units"] == code


def test_voxels_of_no_head_give_no_volume(values: NDArray[np.float32], tmp_path: Path) -> None:
    found = good(save(tmp_path / "scan.nii", values, AFFINE * 1000))
    assert "has voxels of 1e+03 x 1.2e+03 x 5e+03 mm, as no scan of a head has" in found.warnings[1]
    assert found.volume is not None
    assert not found.volume.even


def test_what_a_header_says_of_space_is_compared(values: NDArray[np.float32], tmp_path: Path) -> None:
    flipped, moved, turned = (AFFINE.copy() for _ in range(3))
    flipped[0] *= -1
    moved[1, 3] = 30
    turned[:3, :3] = AFFINE[:3, :3] @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    says: dict[str, tuple[Any, int, Any, int, list[str]]] = {
        "same": (AFFINE, 1, AFFINE, 1, []),
        "flipped": (flipped, 1, AFFINE, 1, ["its qform and its sform say opposite of left and right" + USED]),
        "moved": (moved, 1, AFFINE, 1, ["its qform and its sform put voxels up to 30 mm apart" + USED]),
        "atlas": (moved, 1, AFFINE, 4, []),
        "turned": (turned, 1, AFFINE, 4, ["its qform and its sform put voxels up to 51 mm apart" + USED]),
        "q alone": (moved, 1, AFFINE, 0, []),
    }
    for name, (qform, qcode, sform, scode, warnings) in says.items():
        made: Any = nibabel.Nifti1Image(values, AFFINE)  # type: ignore[no-untyped-call]
        made.set_sform(sform, scode)
        made.set_qform(qform, qcode)
        nibabel.save(nibabel.Nifti1Image(values, None, made.header), tmp_path / "scan.nii")  # type: ignore[no-untyped-call]
        found = good(tmp_path / "scan.nii")
        assert [text for text in found.warnings if "form" in text and "mm by" not in text] == warnings, name
        expected = moved if name == "q alone" else AFFINE
        assert found.volume is not None
        np.testing.assert_allclose(found.volume.affine, expected, atol=1e-5)
    made = nibabel.Nifti1Image(values, AFFINE)  # type: ignore[no-untyped-call]
    made.header["pixdim"][3] = 6
    (tmp_path / "sizes.nii").write_bytes(made.to_bytes())
    assert good(tmp_path / "sizes.nii").warnings == [
        "its voxels are 1 x 1.2 x 6 mm by pixdim and 1 x 1.2 x 5 mm by the sform, which is used"
    ]
    save(tmp_path / "none.nii", values, None)
    assert good(tmp_path / "none.nii").warnings[0].startswith("does not say how it lies in space (qform_code and")


@pytest.mark.parametrize("preset", volumes.PRESETS)
def test_z_scores_look_as_their_original(preset: str, values: NDArray[np.float32], tmp_path: Path) -> None:
    head = values > 0
    noisy = values + np.abs(np.random.default_rng(1).normal(0, 5, values.shape)).astype(np.float32)
    noisy -= noisy.min()
    within = np.where(head, (values - values[head].mean()) / values[head].std(), 0)
    for original, changed, levels in (
        (values, (values - values.mean()) / values.std(), 1),  # the background among them
        (values, within, 2),  # within the brain, the background stays 0
        (values, values * 0.01 - 1, 1),
        (noisy, (noisy - noisy.mean()) / noisy.std(), 1),
    ):
        expected = good(save(tmp_path / "original.nii", original.astype(np.float32)), preset)
        found = good(save(tmp_path / "changed.nii", changed.astype(np.float32)), preset)
        np.testing.assert_allclose(found.images.astype(int), expected.images, atol=levels)
        assert found.images[..., 0].min() == 0
        assert expected.warnings == []
        assert len(found.warnings) == 1
        assert "has negative intensities, as z-scored volumes do; shifted so that" in found.warnings[0]
    lifted, _ = intensities.lift(within.astype(np.float32))
    assert (lifted[head] > 0).all()
    assert not lifted[~head].any()


def test_other_negative_values_have_their_word(values: NDArray[np.float32]) -> None:
    head = values > 0
    same, said = intensities.lift(values)
    assert same is values
    assert said == ""
    ringing = values.copy()
    ringing[0, 0, :3] = -4
    found, said = intensities.lift(ringing)
    np.testing.assert_array_equal(found, values)
    assert said == "3 of 4,800 voxels are negative; they are taken for 0"
    found, said = intensities.lift(np.where(head, values, -1000).astype(np.float32))
    np.testing.assert_array_equal(found, values)
    assert "as low as CT's" in said
    # Where all of a head is one value, it does not turn black.
    flat = np.where(head, -0.1, 0).astype(np.float32)
    flat[15, 16, 5] = 15
    found, _ = intensities.lift(flat)
    assert volumes.to_bytes(found, "maximum")[10, 12, 5] >= 25
    found, _ = intensities.lift(np.full((4, 4, 4), -1, np.float32))
    assert not found.any()
    found, _ = intensities.lift((values - 100) * np.float32(3e36))
    np.testing.assert_allclose(volumes.to_bytes(found, "maximum"), volumes.to_bytes(values, "maximum"), atol=1)


def test_what_scaling_leaves_dark_or_pale_is_told(values: NDArray[np.float32], tmp_path: Path) -> None:
    spike, ring = values.copy(), values.copy()
    spike[0, 0, 0] = 1e5
    ring[:2] = 65535
    said = {}
    for name, own in {"plain": values, "added": values + 1000, "spike": spike, "ring": ring}.items():
        path = save(tmp_path / f"{name}.nii", own)
        said[name] = [good(path, preset).warnings for preset in volumes.PRESETS]
    pale = ["nothing in it is dark, since its values begin at 1000 of 1200: no background of 0"]
    assert said["plain"] == [[], []]
    assert said["added"] == [pale, pale]
    times = 1e5 / np.percentile(values[values > 0], 99.5)
    glare = f"its maximum 100000 is {times:.0f} times as bright as nearly all of it; preset=percentile leaves it out"
    assert said["spike"] == [[glare], []]
    assert said["ring"][0] == said["ring"][1]
    assert said["ring"][0][0].endswith("times as bright as nearly all of it; is it padding?")


def test_masks_and_empty_volumes_are_told(values: NDArray[np.float32], tmp_path: Path) -> None:
    assert good(save(tmp_path / "mask.nii", (values > 0).astype(np.uint8))).warnings == [
        "has two values only, as a mask has"
    ]
    assert good(save(tmp_path / "flat.nii", np.full((20, 20, 5), 7, np.int16))).warnings == [
        "all its voxels have one value"
    ]


@pytest.mark.parametrize("axes", ["".join(own) for own in itertools.product("RL", "AP", "SI")] + ["SRA", "AIL", "PSR"])
def test_sequences_may_be_stored_in_any_order_of_axes(axes: str, values: NDArray[np.float32], tmp_path: Path) -> None:
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
    affine = turn @ AFFINE
    change = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(axes))  # type: ignore[no-untyped-call]
    moved = apply_orientation(values * 0.5, change)  # type: ignore[no-untyped-call]
    save(tmp_path / "a_flair.nii", values, affine)
    save(tmp_path / "a_t1.nii", moved, affine @ inv_ornt_aff(change, values.shape))  # type: ignore[no-untyped-call]
    save(tmp_path / "a_t1ce.nii", values * 2, affine)
    found = cases.find(None, {name: str(tmp_path / f"*_{name}.nii") for name in cases.SEQUENCES})
    read = cases.read(found.cases[0], "maximum", True)
    np.testing.assert_array_equal(read.images[..., 0], read.images[..., 1])
    np.testing.assert_array_equal(read.images[..., 2], read.images[..., 1])
    assert read.warnings == []


def test_another_grid_stays_another() -> None:
    main = Volume(np.zeros((20, 24, 10), np.float32), AFFINE)
    shifted, scaled, turned = (AFFINE.copy() for _ in range(3))
    shifted[0, 3] = 0.5
    scaled[0, 0] = 1.1
    turned[:2, :2] = [[0.99, -0.14], [0.14, 0.99]]
    assert grids.onto(main, main) is main
    for affine in (shifted, scaled, turned):
        assert grids.onto(Volume(main.values, affine), main) is None
    assert grids.onto(Volume(main.values[:, :, :5], AFFINE), main) is None
    assert grids.onto(Volume(main.values, AFFINE, measured=False), main) is None


def test_a_position_is_that_of_the_slices_centre() -> None:
    """Slices of 200 mm, turned by 17 degrees about the patient's left: their corner lies 29 mm below their centre."""
    tilt = np.radians(17)
    affine = np.eye(4)
    affine[1:3, 1:3] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    grid = Grid.of(Volume(np.zeros((200, 200, 10), np.float32), affine))
    assert grid.positions[0] == pytest.approx(99.5 * np.sin(tilt))
    np.testing.assert_allclose(np.diff(grid.positions), np.cos(tilt))


def test_masks_of_dicom_say_where_they_lie(tmp_path: Path) -> None:
    mask = np.ones((4, 5, 6), np.uint8)
    for name, affine in {"scan": np.diag([-1.0, -1.2, 5.0, 1.0]), "tilted": np.diag([-1.0, -1.2, 5.0, 1.0])}.items():
        if name == "tilted":
            affine[1, 2] = 1
        nifti.write_mask(tmp_path / "mask.nii.gz", mask, affine, None)
        found: Any = nibabel.load(tmp_path / "mask.nii.gz")
        np.testing.assert_allclose(found.affine, affine)
        assert found.header.get_xyzt_units()[0] == "mm"
        assert int(found.header["sform_code"]) == 1
        assert int(found.header["qform_code"]) == (name == "scan")
        if name == "scan":
            np.testing.assert_allclose(found.get_qform(), affine, atol=1e-6)
    nifti.write_mask(tmp_path / "mask.nii.gz", mask, np.eye(4), None, measured=False)
    found = nibabel.load(tmp_path / "mask.nii.gz")
    assert (int(found.header["sform_code"]), int(found.header["qform_code"])) == (0, 0)
    assert found.header.get_xyzt_units()[0] == "unknown"
