"""What an executor does: one run in a process of its own, as a user would start it, or one rank of several."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_KEPT = 30  # lines of what a run prints


@dataclass(frozen=True)
class Run:
    """A run of a sweep, as it is sent to an executor.

    Attributes:
        number: in the sweep.
        overrides: those of the command's line that make it this run.
        arguments: of the command.
        folder: the run's, relative to `start`.
        start: where the command is started.
        environment: of the command, besides the executor's own.
        processes: how many train it together.
        store: URL of an object store that the folder is uploaded to; None where it is shared.
    """

    number: int
    overrides: Sequence[str]
    arguments: Sequence[str]
    folder: str
    start: str
    environment: Mapping[str, str]
    processes: int = 1
    store: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a run: `finished`, or why not in `reason`; where; and the last lines it printed."""

    finished: bool
    reason: str
    host: str
    printed: str = ""


UNDER_WAY = "under way in another process"


def train(run: Run) -> Outcome:
    """Train a run in a process of its own. A failure is an outcome: an error Spark would try three times more."""
    try:
        return _train(run)
    except Exception as error:
        return Outcome(False, f"{type(error).__name__}: {error}", socket.gethostname())


def _train(run: Run) -> Outcome:
    from brain_tumor.cluster import store

    if run.store and store.holds(run.store, Path(run.folder).name):
        return Outcome(True, "finished before", socket.gethostname())
    if run.store:
        Path(run.start).mkdir(parents=True, exist_ok=True)
    if not Path(run.start).is_dir():
        return Outcome(False, _not_shared(run), socket.gethostname())
    command = [sys.executable, "-m", "brain_tumor.train", "--multirun", *run.arguments]
    process = subprocess.Popen(
        command, cwd=run.start, env=_environment(run), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", preexec_fn=_end_with_parent,
    )  # fmt: skip
    assert process.stdout is not None
    lines: deque[str] = deque(maxlen=_KEPT)
    for line in process.stdout:
        lines.append(line)
        sys.stderr.write(line)  # into the executor's log
    code = process.wait()
    outcome = conclude(run, code, "".join(lines))
    if run.store:
        folder = Path(run.start, run.folder)
        store.upload(folder, run.store)
        if outcome.finished:
            shutil.rmtree(folder, ignore_errors=True)
    return outcome


def conclude(run: Run, code: int, printed: str) -> Outcome:
    """Say what became of a run whose process has ended: only its record proves that it is finished."""
    finished = code == 0 and Path(run.start, run.folder, "results.json").exists()
    lines = [line for line in printed.splitlines() if line.strip()]
    said = next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "")
    reason = said.removeprefix("error: ") or f"its process ended with {code}" if code else UNDER_WAY
    return Outcome(finished, "" if finished else reason, socket.gethostname(), printed)


def rank(run: Run) -> Outcome:
    """Train a run as one of several processes, in one that torchrun has started for just this."""
    from brain_tumor import train as command
    from brain_tumor.config import cli, errors

    if not Path(run.start).is_dir():
        return Outcome(False, _not_shared(run), socket.gethostname())
    os.chdir(run.start)
    os.environ.update(run.environment)
    sys.argv = ["train", *run.arguments]
    try:
        cli.enter(command.main)
    except SystemExit as error:
        return conclude(run, 1, str(error.code))
    except Exception as error:
        return conclude(run, 1, f"error: {errors.one_line(error)}")
    return conclude(run, 0, "")


def _not_shared(run: Run) -> str:
    return (
        f"{run.start}: not there on {socket.gethostname()}; start the command in a folder that all machines share, "
        "or give hydra.launcher.folder=..."
    )


def _environment(run: Run) -> dict[str, str]:
    """Return a run's environment: as many threads as Spark counts for a task, and the GPUs that it has given it."""
    from pyspark import TaskContext

    own = {**os.environ, **run.environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    own.pop("HYDRA_FULL_ERROR", None)  # the driver's, in local mode; a run ends in one line
    if context := TaskContext.get():
        own["OMP_NUM_THREADS"] = str(context.cpus())
        if gpus := context.resources().get("gpu"):
            own["CUDA_VISIBLE_DEVICES"] = ",".join(gpus.addresses)
    return own


def _end_with_parent() -> None:
    """Let Linux end this process when the executor's ends, however that is: it holds the run's lock."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
