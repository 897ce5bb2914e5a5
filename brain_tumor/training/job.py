"""Train or resume one run, alone or in a sweep, or print why it is not trained."""

import contextlib
import ctypes
import gc
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brain_tumor.config import errors, processes

if TYPE_CHECKING:
    from brain_tumor.runs.record import Record

Train = Callable[[dict[str, Any], Path], "Record | None"]


def run(config: dict[str, Any], folder: Path, train: Train) -> float | None:
    """Train a run unless it is finished or under way; if it fails, write why into its folder.

    Returns:
        The score `objective` on the validation part; None without one, for a run under way, and on other processes than
        the first.

    Args:
        config: resolved; the run's id is its hash.
        folder: the run's, as the first process knows it.
        train: trains `config` in a folder, on every process.

    Raises:
        ValueError: the folder holds another run, or a finished one that began with other data; or what `train` raises.
    """
    if not processes.is_global_zero() and not processes.started_from_outside():
        train(config, folder)  # Lightning has started this process during a training
        return None
    with processes.connected():
        if processes.is_global_zero():
            return _lead(config, folder, train)
        if first_folder := processes.agree(None):
            train(config, first_folder)
    return None


@contextlib.contextmanager
def discard_on_error(folder: Path) -> Iterator[None]:
    """Remove a folder that Hydra has made for a run if the block fails and nothing else is in the folder."""
    try:
        yield
    except Exception:
        from brain_tumor.runs import run_folder

        run_folder.discard_unstarted(folder)
        raise


def _lead(config: dict[str, Any], folder: Path, train: Train) -> float | None:
    """Train on the first process, after telling the others the folder to train in, or None for nothing to train."""
    from brain_tumor.runs import identity, objective, record, run_folder

    run_id = identity.run_id(config)
    free = trains = False
    with contextlib.ExitStack() as stack:
        try:
            free = stack.enter_context(run_folder.lock(folder, Path(config["output_dir"]), run_id))
            trains = _should_train(config, folder, run_id, free)
        finally:
            processes.agree(folder if trains else None)
        if trains:
            _train(config, folder, train)
    return objective.of(record.read(folder), config["objective"]) if free and run_folder.finished(folder) else None


def _should_train(config: dict[str, Any], folder: Path, run_id: str, free: bool) -> bool:
    """Return whether to train a run; print why not.

    Args:
        config: resolved.
        folder: the run's.
        run_id: the run's id.
        free: whether no other process trains it.

    Raises:
        ValueError: the folder holds another run, or a finished one that began with other data.
    """
    from brain_tumor.runs import run_folder

    if not free:
        print(f"under way in another process: {folder}")
        return False
    if (folder / "checkpoints").exists() and not config["resume"]:
        raise ValueError(f"{folder}: holds a run already; go on with it by resume=true, or choose another folder")
    run_folder.mark(folder, run_id)
    if run_folder.finished(folder):
        from brain_tumor.training import changed

        changed.refuse_changed(config, folder)
        _print_finished(folder)
        return False
    if earlier := run_folder.failure(folder):
        print(f"failed before ({earlier}), tries again: {folder}")
        run_folder.clear_failure(folder)
    return True


def _train(config: dict[str, Any], folder: Path, train: Train) -> None:
    """Train a run and print its record; if it fails, write why into its folder."""
    from brain_tumor.runs import run_folder

    try:
        record = train(config, folder)
        assert record is not None, "the first process has the record"
        _print_record(record, folder)
    except Exception as error:
        if run_folder.started(folder) or processes.is_multirun():
            run_folder.write_failure(folder, errors.one_line(error), traceback.format_exc())
            print(f"failed: {errors.one_line(error)} ({folder}/traceback.txt)", file=sys.stderr)
        # Hydra keeps the error until the sweep ends, and its frames would keep the model and its tensors.
        traceback.clear_frames(error.__traceback__)
        raise
    finally:
        release_memory()


def _print_finished(folder: Path) -> None:
    from brain_tumor.runs import record

    print(f"finished before (resume=false trains it anew): {folder}")
    if not processes.is_multirun():
        _print_record(record.read(folder), folder)


def _print_record(record: "Record", folder: Path) -> None:
    from brain_tumor.runs import summary

    print(f"\n{summary.summary(record)}\n\n{summary.next_steps(record, folder)}\n\nrun: {folder}")


def release_memory() -> None:
    """Free a run's memory, so that a sweep does not grow: models are in cycles, and malloc keeps free memory."""
    gc.collect()
    if "torch" in sys.modules:
        import torch

        torch.cuda.empty_cache()
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # not the GNU C library
            ctypes.CDLL("libc.so.6").malloc_trim(0)
