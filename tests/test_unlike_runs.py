"""What a finished run has started from, what a test scores, and classes that are taken for each other."""

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from brain_tumor.data import crops, targets
from brain_tumor.evaluation import scored_data
from brain_tumor.runs import record, run_folder
from brain_tumor.training import changed, parts, refuse


def test_a_finished_run_has_started_from_the_same_weights(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(b"first")
    known = hashlib.sha256(b"first").hexdigest()
    changed._refuse_other_weights(str(file), known, tmp_path)
    file.write_bytes(b"second")
    with pytest.raises(ValueError, match=r"finished before, but model\.weights=.* has changed since"):
        changed._refuse_other_weights(str(file), known, tmp_path)
    changed._refuse_other_weights(str(tmp_path / "gone.pt"), known, tmp_path)
    for name in (None, "none", "auto", "imagenet"):
        changed._refuse_other_weights(name, known, tmp_path)


def test_a_finished_run_has_seen_the_same_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own data has not changed, only what another run says of it."""
    monkeypatch.setattr(record, "read", lambda _: {"weights": {"detail": ""}})
    its_own = SimpleNamespace(dataset=SimpleNamespace(root=tmp_path / "elsewhere", drawn=False))
    monkeypatch.setattr(parts, "open_data", lambda _: its_own)
    localizer = tmp_path / "localizer"
    localizer.mkdir()
    (localizer / "predictions.csv").write_text("first")
    masks = [f"run:{localizer}"]
    config: dict[str, Any] = {"model": {}, "data": {"masks": masks}}
    run_folder.note_begun(tmp_path, {"masks": crops.identify(masks)})
    changed.refuse_changed(config, tmp_path)
    (localizer / "predictions.csv").write_text("second")
    with pytest.raises(ValueError, match=r"finished before, but what data\.masks=.* says has changed since"):
        changed.refuse_changed(config, tmp_path)
    (localizer / "predictions.csv").unlink()
    changed.refuse_changed(config, tmp_path)  # which cannot be compared
    run_folder.note_begun(tmp_path, {})
    changed.refuse_changed({"model": {}, "data": {}}, tmp_path)  # of an earlier version, without masks


@pytest.mark.parametrize("setting", ["limit_test_batches", "fast_dev_run"])
def test_a_part_of_the_test_slices_is_not_scored_as_all(setting: str) -> None:
    config = {"trainer": {setting: 1}, "experiment": None}
    trainer: Any = SimpleNamespace(max_epochs=1, max_steps=-1)
    with pytest.raises(ValueError, match=f"trainer.{setting}: would score a part of the test slices"):
        refuse.refuse_untrainable(config, SimpleNamespace(), SimpleNamespace(), trainer)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("positive", "classes", "said"),
    [
        (None, ["healthy", "sick"], []),
        (None, ["sick", "healthy"], ["classes=[sick,healthy]: sick is a class of the run, and is taken for healthy"]),
        (None, ["well", "ill"], []),
        ("sick", ["sick", "healthy"], ["classes=[sick,healthy]: sick means a tumour, and is taken for healthy"]),
    ],
)
def test_classes_that_change_places_are_named(positive: str | None, classes: list[str], said: list[str]) -> None:
    record = {"data": {"classes": ["healthy", "sick"], "positive": positive}}
    run: Any = SimpleNamespace(record=record, sequences=())
    data: Any = SimpleNamespace(classes=classes, positive=positive, dataset=SimpleNamespace(sequences=()))
    assert scored_data.doubts(run, data) == said


def test_no_tumour_is_not_what_means_one() -> None:
    """A segmenter's threshold would be of one class, and what is held against it of the other."""
    with pytest.raises(ValueError, match=r"data\.positive=no tumour: is to name the class that means a tumour"):
        targets.positive_class(["no tumour", "tumour"], None, "no tumour")
    assert targets.positive_class(["no tumour", "tumour"], None, None) == "tumour"
    assert targets.positive_class(["glioma", "no tumour"], "class", "glioma") == "glioma"
