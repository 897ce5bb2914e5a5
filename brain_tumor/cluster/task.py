"""Train a run on an executor: in a separate process, as a user would start it, or as one rank of several."""

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

_LINES = 30  # of a run's output, the last ones


@dataclass(frozen=True)
class Run:
    """A run of a sweep, as it is sent to an executor.

    Attributes:
        number: in the sweep.
        overrides: the overrides of the command line that tell it from the other runs.
        arguments: of the command.
        folder: the run's, relative to `start`.
        start: where the command is started.
        environment: of the command, added to the executor's.
        processes: the number of processes that train it together.
        store: URL of an object store that the folder is uploaded to; None if the folder is shared.
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
    """The outcome of a run: whether it is `finished`, the `reason` if not, the host, and the last lines printed."""

    finished: bool
    reason: str
    host: str
    printed: str = ""


UNDER_WAY = "under way in another process"


def train(run: Run) -> Outcome:
    """Train a run in a separate process. A failure is returned, since Spark would repeat a task that raises."""
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
    lines: deque[str] = deque(maxlen=_LINES)
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
    """Return the outcome of a run whose process has ended; only its record proves that it is finished."""
    finished = code == 0 and Path(run.start, run.folder, "results.json").exists()
    lines = [line for line in printed.splitlines() if line.strip()]
    message = next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "")
    reason = message.removeprefix("error: ") or f"its process ended with {code}" if code else UNDER_WAY
    return Outcome(finished, "" if finished else reason, socket.gethostname(), printed)


def rank(run: Run) -> Outcome:
    """Train a run as one of several processes, in a process that torchrun has started for this."""
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
    """Return a run's environment, with as many threads and the GPUs that Spark has assigned to the task."""
    from pyspark import TaskContext

    environment = {**os.environ, **run.environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment.pop("HYDRA_FULL_ERROR", None)  # in local mode the driver has set it; a run's error has one line
    if context := TaskContext.get():
        environment["OMP_NUM_THREADS"] = str(context.cpus())
        if gpus := context.resources().get("gpu"):
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus.addresses)
    return environment


def _end_with_parent() -> None:
    """Make Linux end this process when the executor ends in any way, since it holds the run's lock."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
