"""How long a study of usual size takes, and how much memory."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import environment
from tests.moving_head import head, motion
from tests.odd_dicom import dicom
from tests.test_study import FLAIR, PERSON, T1, T1CE, T2

_MOVED = motion((0, 0, 0), (0, 0, 0)), motion((2, 0, 1), (1, 0, 0))
_TAGS = {"flair": FLAIR, "t1": T1, "t1ce": T1CE, "t2": T2, "mpr": {**T1, "ImageType": ["DERIVED", "SECONDARY", "MPR"]}}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five series of 160 slices of 256 x 256 pixels, on one grid."""
    folder = tmp_path_factory.mktemp("large") / "study"
    for name, tags in _TAGS.items():
        small = head("t1" if name == "mpr" else name, (3.75, 3.75, 4.6875), (64, 64, 40), moved=_MOVED[name != "flair"])
        dicom(**PERSON, **tags)(folder / name, small.resampled(0.9375, 0.9375, 1.171875))
    return folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes, as Linux does")
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("register", "limit"), [("none", 30), ("rigid", 60)])
def test_a_study_takes_seconds(register: str, limit: int, segmenter: Path, study: Path, tmp_path: Path) -> None:
    """Seconds of CPU: on two cores that do nothing else it takes no longer by the clock.

    BRAIN_TUMOR_RUN names another run than the tests' own small one.
    """
    run = os.environ.get("BRAIN_TUMOR_RUN", str(segmenter))
    given = [f"run={run}", f"study={study}", f"register={register}", f"output_dir={tmp_path}"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "brain_tumor.predict", *given]
    subprocess.run(command, env=environment(tmp_path), check=True, capture_output=True)
    after, elapsed = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    gigabytes = after.ru_maxrss / 2**20  # of the largest child so far
    print(f"register={register}: {seconds:.1f} s of CPU, {elapsed:.1f} s by the clock, {gigabytes:.2f} GB")
    assert seconds < limit
    assert gigabytes < 3
