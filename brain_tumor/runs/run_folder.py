"""The folder of a run: how it is named and found, who may work in it, and what a failure leaves there.

results.json      the record, written last of what a run must leave (see `brain_tumor.runs.record`)
predictions.csv   path, case, slice, label and what the task predicts, for every test slice
split.csv         path, case, slice, label, part and the image's SHA-256, for every slice
begun.json        what the run has begun with: it goes on with nothing else
error.txt         one line, where the run has failed; the traceback is in traceback.txt
"""

import contextlib
import hashlib
import itertools
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from brain_tumor.io import tables, walk
from brain_tumor.runs import class_names, record

# Changing one of these changes no number, so it is the same run.
_IMMATERIAL = {
    "output_dir", "cache_dir", "experiment", "resume", "name", "cache_features", "allow_overlap", "data.cache_dir",
    "data.resident", "data.eval_batch_size", "trainer.enable_progress_bar",
}  # fmt: skip
# Keys that came later, each with the value that means what was meant before there was one: with it, a run keeps its id.
NEUTRAL: dict[str, Any] = {
    "data.target": None, "data.positive": None,
    "data.folds": None, "data.fold": None, "data.test_cases": None, "data.empty": None,
    "data.min_patients": 10, "data.crop": "none", "data.crop_margin": 0.2, "data.masks": None,
    "schedule": "constant", "model.trained": None, "transforms.missing": 0,
}  # fmt: skip
_OWN_FILES = {".hydra", ".lock", ".id", walk.MARK}


def run_id(config: Mapping[str, Any]) -> str:
    """Name a run by its resolved configuration: 8 hexadecimal digits."""

    def material(values: Mapping[str, Any], path: str) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, value in values.items():
            place = f"{path}{key}"
            if place in _IMMATERIAL or (place in NEUTRAL and NEUTRAL[place] == value):
                continue
            if place == "data._target_":
                value = class_names.identifying(str(value))
            kept[key] = material(value, f"{place}.") if isinstance(value, Mapping) else value
        return kept

    return hashlib.sha256(json.dumps(material(config, ""), sort_keys=True, default=str).encode()).hexdigest()[:8]


def find(output_dir: Path, identity: str) -> Path | None:
    """Return the newest run folder of this identity, a finished one first; None where there is none."""
    own = re.compile(rf"-{identity}(-\w+)?$")  # revision 0205860 appended a random token
    folders = [path for path in output_dir.glob(f"*-{identity}*") if own.search(path.name) and path.is_dir()]
    return max(folders, key=lambda path: (finished(path), path.stat().st_mtime), default=None)


def reserve(candidates: Iterable[Path]) -> Path:
    """Make the first of these folders that is not there yet, and return it."""
    for folder in candidates:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("an endless list of names")


def anew(home: Path, name: str) -> Path:
    """Make a folder for a run that is not to go on with another: NAME, NAME-2, NAME-3, ..."""
    return reserve(home / (name if number == 1 else f"{name}-{number}") for number in itertools.count(1))


def numbered(home: Path) -> Path:
    """Make the next of the folders 1, 2, 3, ... in `home`."""
    return reserve(home / str(number) for number in itertools.count(1))


@contextmanager
def lock(folder: Path, output_dir: Path, identity: str) -> Iterator[bool]:
    """Say whether this process may work on a run, because no other one does; the right ends with its process.

    It goes by the run's identity, whatever its folder is called; a run trained anew in NAME-ID-2 has its own.
    """
    own = folder.name[folder.name.find(identity) :] if identity in folder.name else identity
    file = output_dir / ".locks" / own
    file.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(file)
    try:
        held.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        held.release()
        discard_unstarted(folder)


def finished(folder: Path) -> bool:
    """Return whether the run in `folder` has ended and left its record."""
    return (folder / "results.json").exists()


def started(folder: Path) -> bool:
    """Return whether a run has left anything of its own in its folder, other than its configuration."""
    return folder.is_dir() and not {path.name for path in folder.iterdir()} <= _OWN_FILES


def discard_unstarted(folder: Path) -> None:
    """Remove a folder that holds nothing but the configuration a run would have had."""
    if not started(folder):
        shutil.rmtree(folder, ignore_errors=True)


def mark(folder: Path, identity: str) -> None:
    """Note which configuration a folder belongs to.

    Raises:
        ValueError: it is another one's.
    """
    path = folder / ".id"
    known = record.read(folder)["id"] if finished(folder) else path.read_text() if path.exists() else identity
    if known != identity:
        raise ValueError(f"{folder}: holds a run of another configuration; choose another folder")
    path.write_text(identity)
    walk.make_results_folder(folder)


def begin(folder: Path, facts: Mapping[str, str]) -> None:
    """Note what a run begins with; refuse to go on with anything else.

    Args:
        folder: the run's.
        facts: identify its `data`, with what is cut out of it, its `split` and `weights`, and what only a finished run
            is held against: the `masks` of other runs, and its `files` as they lie on the disk.

    Raises:
        ValueError: the run in the folder has begun with other ones.
    """
    known = begun(folder)
    if known and (folder / "checkpoints").exists():
        changed = [name for name in ("data", "split", "weights") if known.get(name) != facts[name]]
        if changed:
            raise ValueError(
                f"{folder}: its {' and '.join(changed)} changed since it was cut off, so that it cannot go on; restore "
                "them, or train it anew by resume=false"
            )
    note_begun(folder, facts)


def note_begun(folder: Path, facts: Mapping[str, str]) -> None:
    """Write what a run has begun with."""
    tables.write_json(folder / "begun.json", facts)


def begun(folder: Path) -> dict[str, Any]:
    """Return what a run has begun with; nothing of a run of an earlier version."""
    path = folder / "begun.json"
    return tables.read_json(path) if path.exists() else {}


def write_failure(folder: Path, line: str, trace: str) -> None:
    """Leave a failed run's error in its folder: one line, and the traceback in a file beside it."""
    (folder / "traceback.txt").write_text(trace)
    (folder / "error.txt").write_text(line + "\n")


def failure(folder: Path) -> str:
    """Return the line that a failed run has left; "" where it has not failed."""
    path = folder / "error.txt"
    return path.read_text().strip() if path.exists() else ""


def clear_failure(folder: Path) -> None:
    """Remove what an earlier attempt has left of its failure."""
    for name in ("error.txt", "traceback.txt"):
        (folder / name).unlink(missing_ok=True)
