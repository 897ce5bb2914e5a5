"""Odd inputs: for each the right answer, or a word that says why it may be wrong; no wrong answer without a word.

A new disguise is a line in one of the tables; its name stands in the failure, with its fault's number. `make test`
takes the lines of faults and a fifth of the others, the slow test all of them, and all orientations in all formats.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import odd, odd_answers, odd_folders
from tests.odd import HEAD, PICTURE, Disguise, Given, nib
from tests.odd_answers import Exact, ask
from tests.odd_dicom import dicom
from tests.odd_folders import Layout
from tests.odd_layouts import LAYOUTS
from tests.odd_nifti import ALL_NIFTI, NIFTI, nifti
from tests.odd_pictures import ALL_PICTURES, PICTURES, picture
from tests.odd_places import NAMES, PLACES, SEQUENCES
from tests.odd_series import ALL_DICOM, DICOM

_TABLES: dict[str, Sequence[Disguise]] = {
    "nifti": NIFTI, "dicom": DICOM, "picture": PICTURES, "name": NAMES, "place": PLACES, "sequence": SEQUENCES
}  # fmt: skip
_MORE = {"all nifti": ALL_NIFTI, "all dicom": ALL_DICOM, "all pictures": ALL_PICTURES}


def _title(table: str, row: Disguise | Layout) -> str:
    return f"{table}: {row.name}" + f" (fault {row.fault})" * bool(row.fault)


def _some(tables: Mapping[str, Sequence[Disguise | Layout]]) -> list[Any]:
    """Take the rows of faults, and every fifth of the others."""
    return [
        pytest.param(row, id=_title(title, row))
        for title, table in tables.items()
        for place, row in enumerate(table)
        if row.fault or place % 5 == 0
    ]


@pytest.mark.parametrize("disguise", _some(_TABLES))
def test_no_wrong_answer_without_a_word(disguise: Disguise, tmp_path: Path) -> None:
    wrong = odd_answers.check(disguise, tmp_path)
    assert not wrong, "; ".join(wrong)


@pytest.mark.parametrize("layout", _some({"folder": LAYOUTS}))
def test_no_wrong_training_data_without_a_word(layout: Layout, tmp_path: Path) -> None:
    wrong = odd_folders.check(layout, tmp_path)
    assert not wrong, "; ".join(wrong)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_disguises_and_layouts(tmp_path: Path) -> None:
    wrong: dict[str, str] = {}
    for title, table in {**_TABLES, **_MORE}.items():
        for place, disguise in enumerate(table):
            (folder := tmp_path / f"{title}{place}").mkdir()
            wrong[_title(title, disguise)] = "; ".join(odd_answers.check(disguise, folder))
    for place, layout in enumerate(LAYOUTS):
        (folder := tmp_path / f"folder{place}").mkdir()
        wrong[_title("folder", layout)] = "; ".join(odd_folders.check(layout, folder))
    assert len(wrong) > 1000
    lines = [f"{title}: {text}" for title, text in wrong.items() if text]
    assert not lines, "\n".join(lines)


def _twins(folder: Path, head: odd.Head) -> None:
    for name in ("scan.nii", "twin.nii"):
        nifti(name=name)(folder, head)


def _short(folder: Path, head: odd.Head) -> None:
    nifti()(folder, head.between(0, 19))


@pytest.mark.parametrize(
    ("lie", "found"),
    [
        (nifti(values=np.flipud), "looks wrong"),
        (nifti(values=lambda v: v[..., ::-1]), "looks wrong"),
        (nifti(values=lambda v: np.where(v == odd.LESION, v, 0)), "looks wrong"),
        (nifti(affine=lambda a: np.diag([1, 1, 1.1, 1]) @ a), "ml for"),
        (nifti(affine=lambda a: np.diag([-1, 1, 1, 1]) @ a), "mm away"),
        (_twins, "2 cases for 1"),
        (_short, "19 slices for 20"),
        (nifti(given="nowhere"), "no such file"),
    ],
)
def test_lies_are_found(lie: odd.Write, found: str, tmp_path: Path) -> None:
    def write(folder: Path, head: odd.Head) -> Given:
        given = lie(folder, head) or Given()
        return Given(given.input, head=HEAD)

    assert found in "; ".join(odd_answers.check(Disguise("a lie", 0, write), tmp_path))


@pytest.mark.parametrize(
    ("classes", "positive"),
    [(["no", "yes"], "yes"), (["Brain Tumor", "Healthy"], "Brain Tumor"), (["a", "b"], "b"), (["a", "b"], "a")],
)
def test_the_positive_class_may_stand_anywhere(classes: list[str], positive: str, tmp_path: Path) -> None:
    """Fault 2: whatever stood second was taken for the tumour."""
    (tmp_path / "in").mkdir()
    picture(name="ill.png")(tmp_path / "in", PICTURE)
    picture(name="well.png", draw=lambda grey: grey // 3)(tmp_path / "in", PICTURE)
    cases = ask(Given(), tmp_path / "in", Exact("classification", classes, positive)).cases
    assert dict(zip(cases["case"], cases["p_max"].astype(float), strict=True)) == {"ill": 1, "well": 0}


def test_two_kinds_of_tumours_have_no_probability_of_one(tmp_path: Path) -> None:
    """Fault 2, where nobody says which class is positive."""
    (tmp_path / "in").mkdir()
    picture()(tmp_path / "in", PICTURE)
    answer = ask(Given(), tmp_path / "in", Exact("classification", ["glioma", "meningioma"], None))
    assert answer.cases["p_max"].tolist() == [""]
    assert "p(tumour)" not in answer.words


def test_a_mask_of_dicom_says_where_it_is(tmp_path: Path) -> None:
    """Fault 26: it had no qform and no unit."""
    (tmp_path / "in").mkdir()
    dicom()(tmp_path / "in", HEAD)
    ask(Given(), tmp_path / "in")
    (path,) = (tmp_path / "out" / "masks").glob("*.nii.gz")
    mask = nib.load(path)
    assert mask.header["qform_code"] > 0
    assert mask.header["sform_code"] > 0
    assert mask.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(mask.get_qform(), mask.get_sform(), atol=1e-4)
