"""Run a training as a user does, in a process of its own, and measure the process."""

import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil


def whole(arguments: list[str], output_dir: Path) -> tuple[float, int]:
    """Run `python -m brain_tumor.train` to its end.

    Args:
        arguments: its overrides.
        output_dir: where its run folder goes.

    Returns:
        Wall time in seconds from start to exit, and peak resident memory in bytes.

    Raises:
        RuntimeError: it failed; with its last words.
    """
    started = time.perf_counter()
    peak = 0
    with tempfile.TemporaryFile("w+") as words:
        process = psutil.Popen(_line(arguments, output_dir), stdout=subprocess.DEVNULL, stderr=words)
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                peak = max(peak, process.memory_info().rss)
            time.sleep(0.05)
        seconds = time.perf_counter() - started
        if process.returncode:
            words.seek(0)
            raise RuntimeError(f"brain_tumor.train {' '.join(arguments)}: {words.read()[-500:]}")
    return seconds, peak


def to_first_step(arguments: list[str], output_dir: Path) -> float:
    """Start a training and stop it once its first step is in a checkpoint; return the seconds until then."""
    started = time.perf_counter()
    one_step = [*arguments, "+trainer.limit_train_batches=1", "+trainer.limit_val_batches=0"]
    process = subprocess.Popen(_line(one_step, output_dir), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not list(output_dir.glob("*/checkpoints/last.ckpt")):
            if process.poll() is not None:
                raise RuntimeError(f"brain_tumor.train {' '.join(one_step)} ended with {process.returncode}")
            time.sleep(0.02)
        return time.perf_counter() - started
    finally:
        process.kill()
        process.wait()


def _line(arguments: list[str], output_dir: Path) -> list[str]:
    command = [sys.executable, "-m", "brain_tumor.train", "trainer.enable_progress_bar=false"]
    return [*command, f"output_dir={output_dir}", *arguments]
