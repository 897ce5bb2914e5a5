"""Write the files of nnU-Net's raw layout."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain_tumor.datasets.regions import Regions
from brain_tumor.io import tables

ENDING = ".nii.gz"


def write_case(
    folder: Path,
    name: str,
    part: str,
    image: NDArray[np.uint8] | NDArray[np.int16],
    labels: NDArray[np.uint8] | None,
    spacing: tuple[float, float, float],
) -> None:
    """Write a case as NIfTI: imagesTr/NAME_0000.nii.gz, ... and labelsTr/NAME.nii.gz.

    Args:
        folder: the data set's.
        name: the case's.
        part: "Tr" to train with, "Ts" for a case that is held out.
        image: (I, J, K, C), with the first axis to the patient's left, the second to the back, the third upwards.
        labels: uint8 (I, J, K); None for none.
        spacing: of the voxels, in millimetres.
    """
    import nibabel

    affine = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    files = {f"images{part}/{name}_{channel:04d}": image[..., channel] for channel in range(image.shape[-1])}
    if labels is not None:
        files[f"labels{part}/{name}"] = labels
    for place, values in files.items():
        path = folder / f"{place}{ENDING}"
        path.parent.mkdir(parents=True, exist_ok=True)
        written: Any = nibabel.Nifti1Image(values, affine)  # type: ignore[no-untyped-call]
        written.header.set_xyzt_units("mm")
        nibabel.save(written, path)


def write_description(
    folder: Path, sequences: Sequence[str], regions: Regions, count: int, name: str, licence: str
) -> None:
    """Write dataset.json.

    Args:
        folder: the data set's.
        sequences: what the channels show.
        regions: what the labels mean.
        count: how many cases there are to train with.
        name: the data set's.
        licence: of the data.
    """
    members = {name: values[0] if len(values) == 1 else list(values) for name, values in regions.members.items()}
    ignore = {} if regions.ignore is None else {"ignore": regions.ignore}
    order = {} if regions.exclusive else {"regions_class_order": list(regions.written)}
    tables.write_json(
        folder / "dataset.json",
        {
            "channel_names": {str(place): sequence for place, sequence in enumerate(sequences)},
            "labels": {"background": 0, **members, **ignore},
            **order,
            "numTraining": count,
            "file_ending": ENDING,
            "name": name,
            "licence": licence,
        },
    )
