"""Run a training in another process, as a user does, and measure the process."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil


def whole(arguments: list[str], output_dir: Path) -> tuple[float, int]:
    """Run `python -m brain_tumor.train` to its end.

    Args:
        arguments: overrides of the configuration.
        output_dir: the folder for the run folder.

    Returns:
        Wall time in seconds from start to exit, and peak resident memory in bytes.

    Raises:
        RuntimeError: the command failed; the message ends with its last output.
    """
    return _run(arguments, output_dir, lambda: False)


def to_first_step(arguments: list[str], output_dir: Path) -> float:
    """Start a training, stop it once its first step is in a checkpoint, and return the seconds until then."""
    one_step = [*arguments, "+trainer.limit_train_batches=1", "+trainer.limit_val_batches=0"]
    return _run(one_step, output_dir, lambda: any(output_dir.glob("*/checkpoints/last.ckpt")))[0]


def _run(arguments: list[str], output_dir: Path, reached: Callable[[], bool]) -> tuple[float, int]:
    """Run a training until it ends, or kill it once `reached` is true.

    Returns:
        Wall time in seconds, and peak resident memory in bytes.
    """
    command = [sys.executable, "-m", "brain_tumor.train", "trainer.enable_progress_bar=false"]
    started, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as output:
        process = psutil.Popen([*command, f"output_dir={output_dir}", *arguments], stdout=output, stderr=output)
        try:
            while process.poll() is None and not reached():
                with contextlib.suppress(psutil.NoSuchProcess):
                    peak = max(peak, process.memory_info().rss)
                time.sleep(0.02)
            if process.poll() not in {None, 0}:
                output.seek(0)
                raise RuntimeError(f"brain_tumor.train {' '.join(arguments)}: {output.read()[-500:]}")
            return time.perf_counter() - started, peak
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
            process.wait()
