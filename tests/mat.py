"""Write small files in the published form of the tumour-type data set."""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray


def write_slice(
    path: Path, image: NDArray[np.int16], mask: NDArray[np.uint8] | None, patient: str = "100360", label: int = 1
) -> None:
    """Write a slice as MATLAB v7.3 does: matrices lie the other way round, texts as codes."""
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("cjdata")
        group["PID"] = np.array([[ord(letter)] for letter in patient], np.uint16)
        group["label"] = np.array([[float(label)]])
        group["image"] = image.T
        if mask is not None:
            group["tumorMask"] = mask.T


def write_set(folder: Path, patients: int = 15, slices: int = 2, size: int = 48) -> None:
    """Write patients of three types in turn, of a fold each; a type has its brightness and its tumour's shape.

    The first and the fourth are called MR1A and MR1B.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size]
    folds, number = [], 0
    for patient in range(patients):
        kind = patient % 3
        name = {0: "MR1A", 3: "MR1B"}.get(patient, f"{100100 + patient}")
        for _ in range(slices):
            number += 1
            middle = generator.integers(size // 3, 2 * size // 3, 2)
            mask = ((rows - middle[0]) / (1 + kind)) ** 2 + (columns - middle[1]) ** 2 < (size / 12) ** 2
            image = generator.normal(400, 60, (size, size)) + 500 * (kind + 1) * mask
            write_slice(folder / f"{number}.mat", image.astype(np.int16), mask.astype(np.uint8), name, kind + 1)
            folds.append(patient % 5 + 1)
    with h5py.File(folder / "cvind.mat", "w", userblock_size=512) as file:
        file["cvind"] = np.array([folds], np.float64)
