"""A case in numbers: diameters, components, sides and shares, and the intervals that held-out errors give them."""

import json
import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest

from brain_tumor.evaluation import held_out
from brain_tumor.inference import trained
from brain_tumor.inference.base import Outputs
from brain_tumor.inference.intervals import Intervals
from brain_tumor.inference.trained import Trained
from brain_tumor.scans.fitted import Fitted
from tests.conftest import Command, unpack
from tests.odd import BRAIN, HEAD, LESION, PICTURE, Given, Head
from tests.odd_answers import Exact, ask
from tests.odd_dicom import dicom
from tests.odd_nifti import nifti

ROOT = Path(__file__).resolve().parents[1]
TABLE: dict[str, Any] = {
    "format": 1, "level": 0.9, "data": "folder", "regions": ["tumour"], "runs": [{"name": "a", "id": "1"}],
    "patients": 40, "unit": "pixels; in millimetres not measured",
    "measures": {"volume": {"low": 0.5, "high": 2.0}, "diameter": {"low": 0.8, "high": 1.25}},
}  # fmt: skip


class Nothing(Exact):
    """A run that marks nothing."""

    def __call__(self, fitted: Fitted) -> Outputs:
        outputs = super().__call__(fitted)
        assert outputs.maps is not None
        return outputs._replace(maps=0 * outputs.maps)


def _nifti(folder: Path, head: Head = HEAD, **options: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    nifti(**options)(folder, head)


def _row(folder: Path, run: Exact | None = None, **settings: Any) -> dict[str, Any]:
    answer = ask(Given("in", settings=settings, output="out"), folder, run)
    assert len(answer.good) == 1, answer.brief
    return {str(name): value for name, value in answer.good.iloc[0].items()}


def _two_lesions() -> Head:
    """Return a head with a flat ellipse of 25 x 15 millimetres on the patient's left, and a small lesion there."""
    i, j, k = np.mgrid[:56, :64, :20]
    values = np.where(HEAD.values > BRAIN, BRAIN, HEAD.values)
    values[(((i - 14) / 5) ** 2 + ((j - 40) / 3) ** 2 <= 1) & (k == 11)] = LESION
    values[12:14, 20:22, 5] = LESION
    return Head(values.astype(np.float32), HEAD.affine)


def test_a_case_has_its_numbers(tmp_path: Path) -> None:
    _nifti(tmp_path / "in", _two_lesions())
    row = _row(tmp_path, pages=True)
    assert float(row["diameter_mm"]) == pytest.approx(10 * 2.5 + 2.5, abs=0.3)  # eleven pixels
    assert float(row["across_mm"]) == pytest.approx(6 * 2.5 + 2.5, abs=0.3)
    assert (row["diameter_slice"], row["components"], row["side_approximate"]) == ("11", "2", "left")
    assert float(row["flagged_share"]) == pytest.approx(2 / 20)
    assert row["intervals"] == "not measured"
    assert json.loads((tmp_path / "out" / "predict.json").read_text())["intervals"] == "not measured"
    (page,) = (tmp_path / "out" / "pages").glob("*.html")
    text = page.read_text()
    for words in ("longest diameter in a slice, mm", "side of the midline (approximate)", "not measured"):
        assert words in text


def test_pixels_that_are_not_square_and_turned_grids_measure_the_same(tmp_path: Path) -> None:
    expected = None
    for name, head in {"a": HEAD, "b": HEAD.resampled(1.25, 2.5, 5), "c": HEAD.nodding(0.2)}.items():
        _nifti(tmp_path / name / "in", head)
        row = _row(tmp_path / name)
        found = [float(row["diameter_mm"]), float(row["across_mm"])]
        expected = expected or found
        assert found == pytest.approx(expected, abs=2.6), name
        assert row["side_approximate"] == "left"


def test_what_is_not_known_is_not_said(tmp_path: Path) -> None:
    dicom(PixelSpacing=None, ImagePositionPatient=None)(tmp_path / "nowhere" / "in", HEAD)
    row = _row(tmp_path / "nowhere")
    assert "diameter_mm" not in row
    assert (row["side_approximate"], row["volume_ml"]) == ("unknown", "")
    assert float(row["diameter_px"]) == pytest.approx(12, abs=1.5)
    _nifti(tmp_path / "unsaid" / "in")
    (path,) = (tmp_path / "unsaid" / "in").iterdir()
    image: Any = nibabel.load(path)
    image.header["qform_code"] = image.header["sform_code"] = 0
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), None, image.header), path)  # type: ignore[no-untyped-call]
    row = _row(tmp_path / "unsaid")
    assert (row["side_approximate"], row["components"]) == ("unknown", "1")
    assert "does not say how it lies in space" in row["warnings"]


def test_no_tumour_has_no_side(tmp_path: Path) -> None:
    _nifti(tmp_path / "in")
    row = _row(tmp_path, Nothing(), intervals=_table(tmp_path))
    assert (row["diameter_mm"], row["components"], row["side_approximate"]) == ("0.0", "0", "")
    assert (row["diameter_slice"], row["flagged_share"]) == ("", "0.0")
    assert "diameter_mm_low" not in row  # a share of nothing is no interval


def _table(folder: Path, **changes: Any) -> str:
    path = folder / "intervals.json"
    path.write_text(json.dumps({**TABLE, **changes}))
    return str(path)


def test_intervals_are_shares_of_the_numbers(tmp_path: Path) -> None:
    _nifti(tmp_path / "in")
    first = _row(tmp_path)
    row = _row(tmp_path, intervals=_table(tmp_path), pages=True)
    for name, (low, high) in {"volume_ml": (0.5, 2), "diameter_mm": (0.8, 1.25)}.items():
        assert float(row[name]) == float(first[name])
        assert float(row[f"{name}_low"]) == pytest.approx(low * float(row[name]))
        assert float(row[f"{name}_high"]) == pytest.approx(high * float(row[name]))
    assert row["intervals"] == "90%, by 40 held-out patients in pixels; in millimetres not measured"
    assert "across_mm_low" not in row
    (page,) = (tmp_path / "out" / "pages").glob("*.html")
    assert f"{float(row['diameter_mm_low']):.3g} to {float(row['diameter_mm_high']):.3g})" in page.read_text()
    record = json.loads((tmp_path / "out" / "predict.json").read_text())
    assert record["intervals_table"] == TABLE
    assert len(record["intervals"]) == 64


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 9}, "no table of intervals of this version; make one by python -m brain_tumor.intervals"),
        ({"measures": {"weight": {"low": 1, "high": 2}}}, "no table of intervals of this version"),
        ({"data": "lgg"}, "intervals: were measured on runs with the data lgg, and this has folder"),
        ({"regions": ["core"]}, "were measured on runs with the regions ['core'], and this has ['tumour']"),
    ],
)
def test_tables_that_do_not_fit_are_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    _nifti(tmp_path / "in")
    answer = ask(Given("in", settings={"intervals": _table(tmp_path, **changes)}, output="out"), tmp_path)
    assert words in answer.words
    assert not (tmp_path / "out").exists()
    nowhere = ask(Given("in", settings={"intervals": "nowhere.json"}, output="out"), tmp_path).words
    assert "error: intervals=nowhere.json: damaged or unreadable" in nowhere


def test_a_picture_is_measured_in_pixels(tmp_path: Path) -> None:
    from tests.odd_pictures import picture

    (tmp_path / "in").mkdir()
    picture()(tmp_path / "in", PICTURE)
    row = _row(tmp_path)
    assert row["side_approximate"] == "unknown"
    assert float(row["diameter_px"]) == pytest.approx(13, abs=1.5)


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> list[Trained]:
    """The five folds' segmenters of LGG, from the archive in docs."""
    folder = tmp_path_factory.mktemp("folds")
    unpack(ROOT / "docs" / "results" / "localization" / "runs.tar.xz", folder)
    return [trained.open_run(path) for path in sorted(folder.glob("*/*fold?of5*"))]


def test_intervals_of_volumes_cover_as_often_as_they_say(folds: list[Trained], tmp_path: Path) -> None:
    held_out.refuse_unlike(folds)
    measured = held_out.measure(folds, None)
    assert (len(measured), measured["fold"].nunique()) == (110, 5)
    for level in (0.8, 0.9):
        table = held_out.table_of(folds, measured, level)
        volume = table["measures"]["volume"]
        assert abs(volume["covered"] / volume["tested"] - level) < 0.05
        assert sum(fold["tested"] for fold in volume["folds"]) == volume["tested"] == 110 - volume["not_found"]
        assert [line.partition(":")[2] for line in held_out.lines(table)[2:4]] == [" not measured"] * 2
    assert held_out.lines(table)[-1] == "coverage in millimetres: not measured"
    path = tmp_path / "table.json"
    path.write_text(json.dumps(table))
    assert Intervals.read(path).factors["volume"] == (volume["low"], volume["high"])


def test_folds_that_make_no_table_are_refused(folds: list[Trained]) -> None:
    with pytest.raises(ValueError, match=r"two of them have tested TCGA_.*; give the folds of one seed"):
        held_out.measure([folds[0], folds[0]], None)
    with pytest.raises(ValueError, match=r"22 patients are too few for intervals of 95%; these need 39"):
        held_out.table_of(folds[:1], held_out.measure(folds[:1], None), 0.95)


def test_the_command_makes_a_table(command: Command, folds: list[Trained], tmp_path: Path) -> None:
    pattern = folds[0].folder.parent / "*fold?of5*"
    printed = command("intervals", f"runs={pattern}", "diameters=false", cwd=tmp_path).stdout
    assert "fitted on the other folds they cover" in printed
    assert json.loads((tmp_path / "intervals.json").read_text())["patients"] == 110
    refused = command("intervals", f"runs={pattern}", "root=nowhere", cwd=tmp_path, check=False)
    assert refused.returncode != 0
    assert refused.stderr.splitlines()[-1].endswith("give root=FOLDER, or diameters=false")


@pytest.mark.slow
def test_intervals_of_diameters_cover_as_often_as_they_say(
    folds: list[Trained], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Prints what docs/scans.md says, with the LGG data at BRAIN_TUMOR_LGG (pytest -s shows it)."""
    root = os.environ.get("BRAIN_TUMOR_LGG") or pytest.skip("BRAIN_TUMOR_LGG names no data")
    data = held_out.open_masks(folds[0], root, str(tmp_path_factory.mktemp("cache")))
    table = held_out.table_of(folds, held_out.measure(folds, data), 0.9)
    print("\n".join(held_out.lines(table)))
    for one in table["measures"].values():
        assert abs(one["covered"] / one["tested"] - 0.9) < 0.05


def test_the_numbers_of_whole_tables_are_whole(tmp_path: Path) -> None:
    _nifti(tmp_path / "in")
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"")
    answer = ask(Given("in", output="out"), tmp_path)
    table = pd.read_csv(tmp_path / "out" / "cases.csv", dtype=str, keep_default_na=False)
    assert set(table["components"]) == {"", "1"}
    assert len(answer.good) == 1
