"""A run goes on with what it began with, and is finished for the data that it was trained on; anything else is said."""

from pathlib import Path

import pytest

from brain_tumor.runs import run_folder
from tests.conftest import LAST, Command, Start, write_image
from tests.conftest import run_folder as folder_of

_MINE = ["data=folder", "data.root=mine", "data.size=32", "model=cnn", "trainer.enable_progress_bar=false"]


def _add(home: Path, first: int, count: int) -> None:
    for number in range(first, first + count):
        write_image(home / "mine" / ("yes" if number % 2 else "no") / f"{number:03d}.png", seed=number, size=(40, 40))


def test_a_run_does_not_go_on_with_other_data(command: Command, start: Start, tmp_path: Path) -> None:
    """Slices that it was trained on would be tested, since the split is drawn anew."""
    _add(tmp_path, 0, 40)
    arguments = [*_MINE, "trainer.max_epochs=500"]
    start("train", *arguments, cwd=tmp_path).kill_when(lambda: list(tmp_path.glob(LAST)))
    _add(tmp_path, 40, 3)
    refused = command("train", *arguments, cwd=tmp_path, check=False)
    assert refused.returncode == 1
    assert "its data and split changed since it was cut off, so that it cannot go on" in refused.stderr
    assert "Traceback" not in refused.stderr
    for number in range(40, 43):
        (tmp_path / "mine" / ("yes" if number % 2 else "no") / f"{number:03d}.png").unlink()
    (folder,) = tmp_path.glob("outputs/*-*")
    known = run_folder.begun(folder)
    assert set(known) == {"files", "data", "masks", "split", "weights"}
    run_folder.begin(folder, known)  # which is refused for nothing but a change
    with pytest.raises(ValueError, match="its weights changed since"):
        run_folder.begin(folder, {**known, "weights": "file 0123"})


def test_a_finished_run_is_of_its_data(command: Command, tmp_path: Path) -> None:
    _add(tmp_path, 0, 40)
    arguments = [*_MINE, "trainer.max_epochs=1"]
    first = folder_of(command("train", *arguments, cwd=tmp_path).stdout)
    for path in (tmp_path / "mine").rglob("*.png"):
        path.touch()  # other times, the same content
    assert "finished before" in command("train", *arguments, cwd=tmp_path).stdout
    _add(tmp_path, 40, 3)
    refused = command("train", *arguments, cwd=tmp_path, check=False)
    assert refused.returncode == 1
    assert f"{first}: finished before, but its data has changed since" in refused.stderr
    anew = folder_of(command("train", *arguments, "resume=false", cwd=tmp_path).stdout)
    assert anew != first
