"""Enhanced multi-frame MR: the right volume in the right place, one for each echo and time, and odd files by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread, uid
from pydicom.dataset import Dataset

from brain_tumor.scans import discovery
from brain_tumor.scans.discovery import Source
from brain_tumor.scans.volumes import Volume
from tests import odd_answers
from tests.enhanced import enhanced
from tests.odd import HEAD, RIGHT, Disguise, Outcome, refused, warned


def _sources(folder: Path, **options: Any) -> list[Source]:
    enhanced(**options)(folder, HEAD)
    return discovery.discover([str(folder)]).sources


def _volume(source: Source) -> Volume:
    read = source.read()
    assert isinstance(read, Volume)
    return read


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        pytest.param(enhanced(), RIGHT, id="axial"),
        pytest.param(enhanced(axes="PIR"), RIGHT, id="sagittal"),
        pytest.param(enhanced(syntax=uid.RLELossless), RIGHT, id="compressed"),
        pytest.param(enhanced(own_time=True), RIGHT, id="a dimension that follows the place"),
        pytest.param(enhanced(volumes=[{"echo": 10}, {"echo": 80}]), warned("one of 2 volumes"), id="two echoes"),
        pytest.param(enhanced(ImageType=["ORIGINAL", "PRIMARY", "MOSAIC"]), refused("is a mosaic"), id="mosaic"),
        pytest.param(enhanced(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), refused("localizer"), id="localizer"),
    ],
)
def test_a_file_of_frames_is_a_volume(write: Callable[[Path, Any], Any], expected: Outcome, tmp_path: Path) -> None:
    wrong = odd_answers.check(Disguise("enhanced", 0, write, expected), tmp_path)
    assert not wrong, "; ".join(wrong)


def test_frames_have_their_own_scale_and_place(tmp_path: Path) -> None:
    (source,) = _sources(tmp_path)
    volume, expected = _volume(source), HEAD.turned("LPS")
    np.testing.assert_array_equal(volume.values, expected.values)
    np.testing.assert_allclose(volume.affine, expected.space, atol=1e-6)
    assert (volume.warnings, volume.even, volume.measured) == ([], True, True)


@pytest.mark.parametrize(
    ("volumes", "own_time", "words"),
    [
        ([{"echo": 10.125}, {"echo": 80}], False, ["echo time 10.125", "echo time 80"]),
        ([{"echo": 10}, {"echo": 80}], True, ["echo time 10", "echo time 80"]),
        ([{"time": 1}, {"time": 2}], False, ["time 1", "time 2"]),
        ([{"trigger": 0}, {"trigger": 1}], False,
         [f"NominalCardiacTriggerDelayTime 3, index {index}" for index in (1, 2)]),
        ([{"trigger": 0}, {"trigger": 1}], True,
         [f"NominalCardiacTriggerDelayTime 3, index {index}" for index in (1, 2)]),
    ],
)  # fmt: skip
def test_echoes_and_times_are_volumes_of_their_own(
    volumes: list[dict[str, float]], own_time: bool, words: list[str], tmp_path: Path
) -> None:
    sources = _sources(tmp_path, volumes=volumes, own_time=own_time, factors=(1, 2))
    assert len({source.case for source in sources}) == 2
    found = {}
    for source in sources:
        volume = _volume(source)
        (note,) = volume.warnings
        found[note] = volume.values / HEAD.turned("LPS").values.max()
    assert sorted(found) == sorted(f"one of 2 volumes in its series ({text})" for text in words)
    for factor, text in zip((1, 2), words, strict=True):
        assert found[f"one of 2 volumes in its series ({text})"].max() == factor


def test_a_copy_of_a_file_counts_once(tmp_path: Path) -> None:
    (source,) = _sources(tmp_path)
    (tmp_path / "copy.dcm").write_bytes((tmp_path / "enhanced.dcm").read_bytes())
    (twice,) = discovery.discover([str(tmp_path)]).sources
    assert twice.case == source.case
    assert _volume(twice).values.shape == HEAD.values.shape
    assert "copies of others" in _volume(twice).warnings[0]


def _frames_lost(image: Dataset) -> None:
    del image.PerFrameFunctionalGroupsSequence[3]


def _no_place(image: Dataset) -> None:
    for frame in image.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence


def _same_place(image: Dataset) -> None:
    first, second = image.PerFrameFunctionalGroupsSequence[:2]
    second.PlanePositionSequence = first.PlanePositionSequence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_frames_lost, "several frames in one file"),
        (_no_place, "do not say where in space they lie"),
        (_same_place, "1 image lies at the place of another"),
    ],
)
def test_frames_of_unknown_place_are_named(change: Callable[[Dataset], None], words: str, tmp_path: Path) -> None:
    (source,) = _sources(tmp_path, change=change)
    try:
        text = "; ".join(_volume(source).warnings)
    except ValueError as error:
        text = str(error)
    assert words in text
    assert "\n" not in text


def test_a_file_that_is_cut_short_is_named(tmp_path: Path) -> None:
    enhanced()(tmp_path, HEAD)
    content = (tmp_path / "enhanced.dcm").read_bytes()
    (tmp_path / "enhanced.dcm").write_bytes(content[: len(content) // 2])
    (source,) = discovery.discover([str(tmp_path)]).sources
    with pytest.raises(ValueError, match=r"^enhanced.dcm.*(cut short|cannot be decoded)"):
        source.read()


def test_tiles_are_known_by_private_marks(tmp_path: Path) -> None:
    marks = ((0x21, "SIEMENS MR SDI 02", 0x75, "LO", "ORIGINAL_PRIMARY_DIFFUSION_MOSAIC"),
             (0x65, "Image Private Header", 0x50, "DS", "25"))  # fmt: skip
    for group, creator, element, kind, value in marks:
        enhanced()(tmp_path, HEAD)
        image = dcmread(tmp_path / "enhanced.dcm")
        image.private_block(group, creator, create=True).add_new(element, kind, value)
        image.save_as(tmp_path / "enhanced.dcm")
        (source,) = discovery.discover([str(tmp_path)]).sources
        assert source.problem == "is a mosaic, many slices as tiles of one image, which is not read"
