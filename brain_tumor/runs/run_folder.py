"""The folder of a run: its name, who may work in it, and what a failure leaves there.

results.json      the record, written after everything else that a run must leave (see `brain_tumor.runs.record`)
predictions.csv   path, case, slice, label and what the task predicts, for every test slice
split.csv         path, case, slice, label, part and the image's SHA-256, for every slice
begun.json        the data, split and weights that the run has begun with: it resumes with these only
error.txt         one line, if the run has failed; the traceback is in traceback.txt
"""

import contextlib
import itertools
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from brain_tumor.io import tables, walk

_BOOKKEEPING = {".hydra", ".lock", ".id", walk.MARK}  # files that a folder has before its run has started


def find(output_dir: Path, identity: str) -> Path | None:
    """Return the newest run folder of this identity, a finished one first; None if there is none."""
    pattern = re.compile(rf"-{identity}(-\w+)?$")  # revision 0205860 appended a random token
    folders = [path for path in output_dir.glob(f"*-{identity}*") if pattern.search(path.name) and path.is_dir()]
    return max(folders, key=lambda path: (finished(path), path.stat().st_mtime), default=None)


def reserve(candidates: Iterable[Path]) -> Path:
    """Make the first of these folders that does not exist yet, and return it."""
    for folder in candidates:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("an endless list of names")


def make_new(home: Path, name: str) -> Path:
    """Make a folder for a run that must not resume another one: NAME, NAME-2, NAME-3, ..."""
    return reserve(home / (name if number == 1 else f"{name}-{number}") for number in itertools.count(1))


def make_numbered(home: Path) -> Path:
    """Make the next of the folders 1, 2, 3, ... in `home`."""
    return reserve(home / str(number) for number in itertools.count(1))


@contextmanager
def lock(folder: Path, output_dir: Path, identity: str) -> Iterator[bool]:
    """Take a run's lock, and yield whether this process has it; it is released at the latest when the process ends.

    The lock has the run's identity as its name, whatever the folder is called; a run trained anew in NAME-ID-2 has
    another lock.
    """
    name = folder.name[folder.name.find(identity) :] if identity in folder.name else identity
    file = output_dir / ".locks" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(file)
    try:
        file_lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        file_lock.release()
        discard_unstarted(folder)


def finished(folder: Path) -> bool:
    """Return whether the run in `folder` has ended and left its record."""
    return (folder / "results.json").exists()


def started(folder: Path) -> bool:
    """Return whether a run has left anything in its folder besides its configuration."""
    return folder.is_dir() and not {path.name for path in folder.iterdir()} <= _BOOKKEEPING


def discard_unstarted(folder: Path) -> None:
    """Remove a folder that holds nothing but the configuration of a run that has not started."""
    if not started(folder):
        shutil.rmtree(folder, ignore_errors=True)


def mark(folder: Path, identity: str) -> None:
    """Note which run a folder belongs to.

    Raises:
        ValueError: it belongs to another run.
    """
    from brain_tumor.runs import record  # late: it imports the data sets, which naming a folder does not need

    path = folder / ".id"
    known = record.read(folder)["id"] if finished(folder) else path.read_text() if path.exists() else identity
    if known != identity:
        raise ValueError(f"{folder}: holds a run of another configuration; choose another folder")
    path.write_text(identity)
    walk.make_results_folder(folder)


def begin(folder: Path, facts: Mapping[str, str]) -> None:
    """Note what a run begins with; refuse to resume it with anything else.

    Args:
        folder: the run's.
        facts: identifiers of its `data` (crops included), its `split` and its `weights`; and of two things that only a
            finished run is compared with: the `masks` of other runs, and its `files` on disk.

    Raises:
        ValueError: the run in the folder has begun with others.
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
    """Return what a run has begun with; {} for a run of an earlier version, which did not note it."""
    path = folder / "begun.json"
    return tables.read_json(path) if path.exists() else {}


def write_failure(folder: Path, line: str, trace: str) -> None:
    """Write why a run has failed into its folder: one line, and the traceback in a file beside it."""
    (folder / "traceback.txt").write_text(trace)
    (folder / "error.txt").write_text(line + "\n")


def failure(folder: Path) -> str:
    """Return the line that a failed run has left; "" if it has not failed."""
    path = folder / "error.txt"
    return path.read_text().strip() if path.exists() else ""


def clear_failure(folder: Path) -> None:
    """Remove what an earlier failure has left."""
    for name in ("error.txt", "traceback.txt"):
        (folder / name).unlink(missing_ok=True)
