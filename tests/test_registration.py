"""Sequences between which the head has moved: found and brought together, and masks where the lesion is in each."""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK
from PIL import Image
from pydicom import uid

from brain_tumor.datasets import kaggle_3m
from brain_tumor.inference.base import Outputs
from brain_tumor.scans import registration, registration_quality
from brain_tumor.scans.fitted import Fitted
from brain_tumor.scans.volumes import Volume
from tests.enhanced import enhanced
from tests.moving_head import LESION, apart, centre, head, motion
from tests.odd import Given, Head, nib
from tests.odd_answers import Exact, ask
from tests.odd_dicom import dicom, document
from tests.test_study import PERSON, T1, T1CE, T2

LPS = np.diag([-1.0, -1, 1, 1])
MOVED = {
    "t1": motion((3, -4, 6), (4, -3, 5)), "t1ce": motion((-7, 5, -9), (-8, 6, 10)), "t2": np.eye(4)
}  # fmt: skip
FLAIR_GRID: Any = ((1.6, 1.6, 2.5), (128, 128, 72), motion((6, 0, 4), (3, -2, 0)))
GRIDS: dict[str, Any] = {
    "flair": FLAIR_GRID, "t2": FLAIR_GRID,
    "t1": ((2.0, 2.2, 2.0), (96, 98, 96), motion((0, 8, 0), (-4, 6, 2))),
    "t1ce": ((1.8, 1.8, 3.0), (104, 120, 66), motion((-5, 3, 12), (6, 5, -7))),
}  # fmt: skip

COARSE: Any = ((6.0, 6.0, 6.0), (33, 40, 34))
FLAIR = head("flair", *COARSE)
T1_MOVED = head("t1", (5.0, 6.0, 6.0), (40, 40, 36), motion((0, 6, 4), (2, 2, 0)), MOVED["t1"])


class Bright(Exact):
    """A run that marks what is bright in FLAIR."""

    size = 256

    def __call__(self, fitted: Fitted) -> Outputs:
        return super().__call__(Fitted(fitted.images[..., 1:2]))


def _transform(path: Path) -> Any:
    """Read a transform as other programs do: (4, 4), x to the right, y to the front."""
    read, matrix = SimpleITK.ReadTransform(str(path)), np.eye(4)
    ends = np.array([read.TransformPoint(point) for point in np.eye(4)[:, :3].tolist()])
    matrix[:3, 3], matrix[:3, :3] = ends[3], (ends[:3] - ends[3]).T
    return LPS @ matrix @ LPS


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four sequences on three grids, between which the head has moved, and what else a scanner leaves."""
    folder = tmp_path_factory.mktemp("moving") / "in"
    scans = {name: head(name, size, shape, placed, MOVED.get(name)) for name, (size, shape, placed) in GRIDS.items()}
    person: dict[str, Any] = PERSON
    dicom(**person, **T1, axes="PIR")(folder / "a" / "t1", scans["t1"])
    dicom(**person, **T1CE, syntax=uid.RLELossless)(folder / "b" / "t1ce", scans["t1ce"])
    dicom(**person, **T2)(folder / "b" / "t2", scans["t2"])
    times = {"InversionTime": 2500, "RepetitionTime": 9000, "EchoPulseSequence": "SPIN"}
    enhanced(volumes=[{"echo": 120}], **times, **person)(folder / "c", scans["flair"])
    dicom(**person, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], places=[9, 10, 11])(folder / "loc", scans["t1ce"])
    capture: Any = {"SOPClassUID": uid.SecondaryCaptureImageStorage, "ImagePositionPatient": None, "places": [3]}
    dicom(**person, **capture)(folder / "capture", scans["t1ce"])
    document(uid.BasicTextSRStorage, "SR", "report.dcm")(folder, scans["t1ce"])
    return folder


def test_a_study_in_which_the_head_has_moved(study: Path) -> None:
    given = Given(study=".", settings={"register": "rigid", "mask_grids": ["t1", "t1ce", "t2"]})
    answer = ask(given, study, Bright())
    assert len(answer.good) == 1, answer.words
    (row,) = answer.good.to_dict("records")
    assert row["warnings"] == ""
    table = pd.read_csv(answer.folder / "study.csv", keep_default_na=False)
    assert list(table["taken for"]) == ["flair", "t1", "t1ce", "t2", "", "", ""]
    reasons = " ".join(table["reason"])
    assert all(word in reasons for word in ("localizer", "secondary capture", "Text SR"))
    marked = _centre(answer.folder / "masks" / "in.nii.gz")
    print("FLAIR's mask is off by", (marked - LESION).round(3))
    assert np.abs(marked - LESION).max() < 0.1
    for name, moved in MOVED.items():
        transform, mask = answer.folder / "transforms" / name / "in.tfm", answer.folder / "masks" / name / "in.nii.gz"
        off, voxel = apart(_transform(transform), moved), min(GRIDS[name][0])
        away = float(np.linalg.norm(_centre(mask) - (moved @ [*LESION, 1])[:3]))
        print(f"{name}: the transform is off by {off:.2f} mm, its mask by {away:.2f} mm")
        assert off < voxel / 2
        assert away < voxel / 2
        assert _differing(answer.folder / "masks" / "in.nii.gz", mask, transform) < 1e-3
        assert float(row[f"edges_agree({name})"]) > 0.8
        assert float(row[f"moved_mm({name})"]) == pytest.approx(apart(moved, np.eye(4)), rel=0.5)
        assert float(row[f"mutual_information({name})"]) >= float(row[f"mutual_information_before({name})"])


def _differing(main: Path, own: Path, transform: Path) -> float:
    """Let SimpleITK bring a mask onto another's grid by the files alone; return the share of voxels that differ."""
    moving, fixed = (SimpleITK.ReadImage(str(path)) for path in (main, own))
    back = SimpleITK.ReadTransform(str(transform)).GetInverse()
    resampled = SimpleITK.GetArrayFromImage(SimpleITK.Resample(moving, fixed, back, SimpleITK.sitkNearestNeighbor))
    expected = SimpleITK.GetArrayFromImage(fixed)
    assert resampled.any()
    return float((resampled != expected).sum() / (expected > 0).sum())


def _centre(path: Path) -> Any:
    image = nib.load(path)
    return centre(np.asarray(image.dataobj), image.affine)


def _write(folder: Path, **heads: Head) -> Given:
    """Write sequences as NIfTI files; all are given."""
    folder.mkdir(exist_ok=True)
    for name, one in heads.items():
        nib.save(nib.Nifti1Image(one.values, one.affine), folder / f"{name}.nii")
    return Given(sequences={name: f"{name}.nii" for name in heads})


def test_other_grids_are_refused_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = _write(tmp_path / "in", flair=FLAIR, t1=T1_MOVED)
    refused = "sequences.t1: lies on another grid than flair; register and resample it first, or give register=rigid"
    install = "needs SimpleITK: pip install 'brain-tumor[register]'"

    def words(**settings: str) -> list[str]:
        return ask(replace(given, settings=settings), tmp_path / "in").words.splitlines()

    assert refused in words()
    assert "error: register=affine: choose one of none, rigid" in words(register="affine")
    monkeypatch.setattr(registration, "available", lambda: False)
    assert f"{refused}, which {install}" in words()
    assert f"error: register=rigid: {install}" in words(register="rigid")


def test_a_poor_registration_is_flagged(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(0, 200, T1_MOVED.values.shape).astype(np.float32)
    given = _write(tmp_path / "in", flair=FLAIR, t1=Head(noise, T1_MOVED.affine), t1ce=T1_MOVED.between(22, 33))
    answer = ask(replace(given, settings={"register": "rigid"}), tmp_path / "in")
    (row,) = answer.good.to_dict("records")
    assert re.search(r"t1: its registration to flair is poor: their edges agree by -?0\.[0-4]", row["warnings"])
    assert re.search(r"t1ce: shows [1-4]\d% of the head in flair only", row["warnings"])


def test_what_shows_nothing_cannot_be_registered(tmp_path: Path) -> None:
    for values, reason in (
        (np.zeros((20, 20, 20), np.float32), "no pose is found in which the two show the same"),
        (np.ones((20, 20, 3), np.float32), "has 3 slices only"),
    ):
        given = _write(tmp_path / "in", flair=FLAIR, t1=Head(values, np.eye(4)))
        answer = ask(replace(given, settings={"register": "rigid"}), tmp_path / "in")
        assert list(answer.cases["reason"]) == [f"sequences.t1: cannot be registered: {reason}"]


def test_what_lies_on_the_grid_stays_as_it_is(tmp_path: Path) -> None:
    turned = head("t1", *COARSE).turned("PIR")
    given = replace(_write(tmp_path / "in", flair=FLAIR, t1=turned), settings={"mask_grids": "all"})
    runs = Bright(), Bright()
    expected, answer = (
        ask(replace(given, settings={**given.settings, **more}, output=f"../{place}"), tmp_path / "in", runs[place])
        for place, more in enumerate([{}, {"register": "rigid"}])
    )
    np.testing.assert_array_equal(expected.seen, answer.seen)
    np.testing.assert_array_equal(_transform(answer.folder / "transforms" / "t1" / "in.tfm"), np.eye(4))
    assert not (expected.folder / "transforms").exists()
    mask, own = (nib.load(expected.folder / "masks" / path) for path in ("in.nii.gz", "t1/in.nii.gz"))
    again = Head(np.asarray(mask.dataobj), mask.affine).turned("PIR")
    assert again.values.any()
    np.testing.assert_array_equal(np.asarray(own.dataobj), again.values)
    np.testing.assert_allclose(own.affine, again.space, atol=1e-4)


def test_the_same_scans_give_the_same_numbers() -> None:
    images = [registration.pyramid(Volume(one.values, one.space)) for one in (T1_MOVED, FLAIR)]
    first, second = (registration.rigid(*images) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert apart(first, MOVED["t1"]) < 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask_grids": "t2"}, "mask_grids=t2: choose among flair, t1, or all"),
        ({"mask_grids": ["t1"], "input": "flair.nii", "sequences": {}}, "mask_grids: goes with study="),
    ],
)
def test_grids_that_nobody_gave_are_refused(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    given = replace(_write(tmp_path / "in", flair=FLAIR, t1=FLAIR), settings=settings)
    given = replace(given, sequences={} if "input" in settings else given.sequences)
    assert message in ask(given, tmp_path / "in").words


@pytest.mark.slow
@pytest.mark.skipif("BRAIN_TUMOR_LGG" not in os.environ, reason="set BRAIN_TUMOR_LGG to the real data's folder")
def test_edges_tell_right_from_poor() -> None:
    """How the limit was chosen: eight patients' T1 or T1ce on their FLAIR, where they lie and moved on purpose."""
    listing = kaggle_3m.list_slices(Path(os.environ["BRAIN_TUMOR_LGG"]))
    cases = np.random.default_rng(5).permutation(sorted(set(listing.table["case"])))[:8]
    ways = {"as it is": [np.eye(4)], "another head": [np.eye(4)]}
    for size in (3, 5, 8):
        ways[f"{size} mm"] = [motion((0, 0, 0), size * axis) for axis in np.eye(3)]
    ways["10 degrees"] = [motion(10 * axis, (0, 0, 0)) for axis in np.eye(3)]
    found: dict[str, list[float]] = {way: [] for way in ways}
    before = None
    for number, case in enumerate(cases):
        rows = listing.table[listing.table["case"] == case].sort_values("slice")
        slices = np.stack([np.asarray(Image.open(listing.root / path)) for path in rows["path"]])
        values = slices.transpose(3, 2, 1, 0)[:, ::-1, ::-1].astype(np.float32)
        affine = np.diag([0.9, 0.9, 5.0, 1.0])
        affine[:3, 3] = -(np.array(values.shape[1:]) - 1) / 2 * [0.9, 0.9, 5]
        flair, other = (registration.pyramid(Volume(values[place], affine))[-1] for place in (1, 2 * (number % 2)))
        if (values[1] == values[2 * (number % 2)]).mean() > 0.9:
            continue  # FLAIR stands in for it
        for way, moves in ways.items():
            moving = before if way == "another head" else other
            if moving is not None:
                found[way] += [registration_quality.measure(moving, flair, move).agreement for move in moves]
        before = other
    limit = registration_quality.LEAST_AGREEMENT
    for way, agreed in found.items():
        low, middle, high = np.percentile(agreed, (0, 50, 100))
        poor = f"{np.less(agreed, limit).sum()} of {len(agreed)}"
        print(f"| {way} | {low:.2f} | {middle:.2f} | {high:.2f} | {poor} |")
    assert min(found["as it is"]) > limit > max(found["another head"])
    assert np.less(found["10 degrees"], limit).mean() > 0.8
