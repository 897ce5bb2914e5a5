"""Which files below a folder are input."""

from pathlib import Path

import pytest

from brain_tumor.io import walk


def _fill(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def _names(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in walk.walk(root).files]


def test_neither_hidden_nor_system_files_are_input(tmp_path: Path) -> None:
    _fill(tmp_path, "b/2.png", "a/1.png", ".hidden/3.png", "a/.ipynb_checkpoints/1-checkpoint.png", "a/._1.png")
    _fill(tmp_path, "@eaDir/1.png/THUMB.png", "__MACOSX/a/._1.png", "$RECYCLE.BIN/x.png", "a/Thumbs.db")
    assert _names(tmp_path) == ["a/1.png", "b/2.png"]
    # What is named itself is looked into, whatever it is called.
    assert _names(tmp_path / ".hidden") == ["3.png"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    _fill(tmp_path, "in/own/1.png", "store/sub/2.png", "store/3.png")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "store")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in" / "own")
    (tmp_path / "in" / "own" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "4.png").symlink_to(tmp_path / "store" / "3.png")
    (tmp_path / "in" / "5.png").symlink_to("nowhere.png")
    found = walk.walk(tmp_path / "in")
    assert _names(tmp_path / "in") == ["4.png", "linked/3.png", "linked/sub/2.png", "own/1.png"]
    assert {path.name: reason for path, reason in found.skipped.items()} == {
        "again": f"the same folder as {tmp_path / 'in' / 'own'}",
        "up": f"the same folder as {tmp_path / 'in'}",
        "5.png": "a link to nothing; fetch what it stands for",
    }


def test_results_are_no_input(tmp_path: Path) -> None:
    _fill(tmp_path, "scan.png")
    masks = walk.make_results_folder(tmp_path / "out" / "masks")
    _fill(masks, "scan_mask.png", "case/deeper_mask.png")
    found = walk.walk(tmp_path)
    assert [path.name for path in found.files] == ["scan.png"]
    assert found.skipped == {masks: "results of brain_tumor, which are no input"}
    for own in (masks, masks / "scan_mask.png", masks / "case", masks / "case" / "deeper_mask.png"):
        with pytest.raises(ValueError, match=r"input=.*: results of brain_tumor, which are no input"):
            walk.refuse_results(own, "input")
    walk.refuse_results(tmp_path, "input")
    walk.make_results_folder(masks)
    assert walk.is_results(masks)
    # A folder of the user's own, into which something is written, stays input.
    walk.make_results_folder(tmp_path)
    assert not walk.is_results(tmp_path)


def test_a_stamp_tells_files_apart(tmp_path: Path) -> None:
    _fill(tmp_path / "a", "1.png", "2.png")
    before = walk.stamp(tmp_path / "a")
    assert walk.stamp(tmp_path / "a") == before
    (tmp_path / "a" / "2.png").write_text("another")
    assert walk.stamp(tmp_path / "a") != before
