"""A head written as one enhanced multi-frame MR file, its frames in disorder, by the standard's functional groups."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from tests.odd import Given, Head, Write
from tests.odd_dicom import corner

LPS = np.diag([-1, -1, 1])
SLOPE, INTERCEPT = 0.5, -20.0  # of the frames of even places; the others are stored as they are
_POINTERS = {"stack": "StackID", "place": "InStackPositionNumber", "echo": "EffectiveEchoTime",
             "time": "TemporalPositionIndex", "trigger": "NominalCardiacTriggerDelayTime"}  # fmt: skip


def _item(**elements: Any) -> Dataset:
    made = Dataset()
    for name, value in elements.items():
        setattr(made, name, value)
    return made


def _group(**macros: Dataset) -> Dataset:
    return _item(**{name: Items([item]) for name, item in macros.items()})


def _write(
    folder: Path,
    head: Head,
    *,
    axes: str = "LPS",
    volumes: Sequence[dict[str, float]] = ({},),
    factors: Sequence[float] = (1, 1),
    own_time: bool = False,
    syntax: Any = uid.ExplicitVRLittleEndian,
    name: str = "enhanced.dcm",
    change: Callable[[Dataset], Any] = lambda image: image,
    given: str = ".",
    **tags: Any,
) -> Given:
    """Write heads of several volumes into one file.

    Args:
        folder: for the file.
        head: to write.
        axes: to which sides columns, rows and slices run.
        volumes: what each volume has in its dimensions: `echo` in milliseconds, `time`, `trigger`.
        factors: by which each volume's intensities are multiplied.
        own_time: whether a dimension has another index in every frame.
        syntax: of the transfer.
        name: of the file.
        change: changes the whole file before it is saved.
        given: how the file is given to `predict`.
        **tags: further elements of the file.
    """
    turned = head.turned(axes)
    steps = LPS @ turned.space[:3, :3]
    lengths = np.linalg.norm(steps, axis=0)
    dimensions = ["stack", "place", *volumes[0], *["trigger"] * own_time]
    frames = [(place, volume) for volume in range(len(volumes)) for place in range(turned.values.shape[2])]
    order = np.random.default_rng(0).permutation(len(frames))
    image, pixels, groups = _whole(**tags), [], []
    for number, (place, volume) in enumerate(frames[row] for row in order):
        even = place % 2 == 0
        values = turned.values[..., place].T * factors[volume]
        pixels.append(((values - INTERCEPT) / SLOPE if even else values).astype("<u2"))
        indices = [1, place + 1, *([volume + 1] * len(volumes[0])), *([number + 1] * own_time)]
        groups.append(_frame(corner(turned, place), indices, volumes[volume], even))
    image.Rows, image.Columns = pixels[0].shape
    image.NumberOfFrames, image.PixelData = len(frames), np.stack(pixels).tobytes()
    image.PerFrameFunctionalGroupsSequence = Items(groups)
    orientation = (steps[:, :2] / lengths[:2]).T.ravel().tolist()
    measures = _item(PixelSpacing=[lengths[1], lengths[0]], SliceThickness=lengths[2])
    image.SharedFunctionalGroupsSequence = Items([
        _group(PixelMeasuresSequence=measures, PlaneOrientationSequence=_item(ImageOrientationPatient=orientation))
    ])  # fmt: skip
    image.DimensionIndexSequence = Items(
        [_item(DimensionIndexPointer=Tag(_POINTERS[dimension])) for dimension in dimensions]
    )
    change(image)
    folder.mkdir(parents=True, exist_ok=True)
    if syntax is uid.RLELossless:
        image.compress(syntax)
    image.save_as(folder / name, enforce_file_format=True)
    return Given(given, head=head)


def _whole(**tags: Any) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = uid.EnhancedMRImageStorage, uid.generate_uid()
    image.SeriesInstanceUID, image.Modality = uid.generate_uid(), "MR"
    image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    for name, value in tags.items():
        setattr(image, name, value)
    return image


def _frame(position: list[float], indices: list[int], volume: dict[str, float], rescaled: bool) -> Dataset:
    """Make the functional groups of a frame."""
    content = _item(StackID="1", InStackPositionNumber=indices[1], DimensionIndexValues=indices)
    if "time" in volume:
        content.TemporalPositionIndex = int(volume["time"])
    slope, intercept = (SLOPE, INTERCEPT) if rescaled else (1, 0)
    rescale = _item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="US")
    macros = {
        "FrameContentSequence": content, "PlanePositionSequence": _item(ImagePositionPatient=position),
        "PixelValueTransformationSequence": rescale,
    }  # fmt: skip
    if "echo" in volume:
        macros["MREchoSequence"] = _item(EffectiveEchoTime=float(volume["echo"]))
    return _group(**macros)


def enhanced(**options: Any) -> Write:
    """Return a function that writes a head so (see `_write`)."""
    return partial(_write, **options)
