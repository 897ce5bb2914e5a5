"""What the few lines after a run say of its split and its scores."""

import copy

from brain_tumor.runs import record, summary
from tests.conftest import REPOSITORY

RECORD = REPOSITORY / "docs" / "results" / "records" / "experiment-10-sgd-fold0of5-seed0.json"


def test_patients_on_both_sides_are_said_whatever_the_names_tell() -> None:
    found = record.load(RECORD)
    assert "patients_on_both_sides" not in found["split"]
    assert "Patients stand on both sides" not in summary.summary(found)
    found["split"]["patients_on_both_sides"] = 0
    assert "Patients stand on both sides" not in summary.summary(found)
    found["split"]["patients_on_both_sides"] = 3
    assert "nearest_slice" not in found["baselines"]
    assert "Patients stand on both sides of this split" in summary.summary(found)


def test_an_area_of_0_is_a_number_and_an_undefined_one_is_none() -> None:
    found = copy.deepcopy(record.load(RECORD))
    found["test"]["auroc"]["value"] = 0.0
    found["baselines"]["majority"]["auroc"]["value"] = None
    title, model, majority, *_ = summary.summary(found).splitlines()
    assert title.endswith("AUROC")
    assert model.endswith(" 0.000")
    assert "nan" not in majority
    assert majority.rstrip()[-1] == "%"
