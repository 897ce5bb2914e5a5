"""Patients of a data set of slices, written as DICOM studies: predicted as their slices are."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from brain_tumor import predict
from brain_tumor.config import typed
from brain_tumor.datasets import kaggle_3m, phantom
from brain_tumor.io import tables
from brain_tumor.scans import volumes
from tests.odd import Head, nib
from tests.odd_dicom import dicom
from tests.test_study import FLAIR, PERSON, T1, T1CE

_TAGS: dict[str, dict[str, Any]] = {"t1": T1, "flair": FLAIR, "t1ce": T1CE}
_PATTERN = "patient_pattern='^(?P<patient>.+)_(?P<slice>[0-9]+)'"


def _predict(*given: str) -> pd.DataFrame:
    with initialize_config_dir(typed.CONF, version_base="1.3"):
        config = typed.plain(compose("predict", [*given, "overlays=false"]), "predict")
    assert predict.predict(config) == 0
    return pd.read_csv(f"{config['output_dir']}/slices.csv")


def _compare(run: Path, slices: Sequence[Path], folder: Path) -> tuple[float, float]:
    """Predict a patient's slices as pictures and as a study of three DICOM series.

    Returns:
        By how much a slice's probability differs at most, and Dice of the two masks.
    """
    folder.mkdir()
    (folder / "slices.txt").write_text("\n".join(map(str, slices)))
    pictures = _predict(f"run={run}", f"input={folder / 'slices.txt'}", _PATTERN, f"output_dir={folder / 'pictures'}")
    shown = np.stack([np.asarray(Image.open(path)) for path in slices])  # (n, H, W, 3)
    for channel, (name, tags) in enumerate(_TAGS.items()):
        upright = np.ascontiguousarray(shown[..., channel].transpose(2, 1, 0)[::-1, ::-1])
        dicom(**PERSON, **tags)(folder / "study" / name, Head(upright, np.diag([0.9, 0.9, 5.0, 1.0])))
    study = _predict(f"run={run}", f"study={folder / 'study'}", f"output_dir={folder / 'out'}")
    image = nib.as_closest_canonical(nib.load(folder / "out" / "masks" / "study.nii.gz"))
    second = np.flip(np.asarray(image.dataobj), (0, 1)).transpose(2, 1, 0) > 0
    masks = [
        folder / "pictures" / "masks" / f"{slices[0].stem.rpartition('_')[0]}_{row}_mask.png"
        for row in pictures["slice"]
    ]
    first = np.stack([np.asarray(Image.open(path)) > 0 for path in masks])
    off = float(np.abs(pictures["p(tumour)"].to_numpy() - study["p(tumour)"].to_numpy()).max())
    return off, float(2 * (first & second).sum() / max(1, first.sum() + second.sum())) if first.any() else 1.0


def _patients(run: Path, root: Path, count: int) -> dict[str, list[Path]]:
    """Return the slices of the first of a run's test patients, by number."""
    tested = tables.read_csv(run / "predictions.csv")
    return {
        str(case): [root / path for path in rows.sort_values("slice")["path"]]
        for case, rows in list(tested.groupby("case"))[:count]
    }


def test_a_phantom_as_a_study(segmenter: Path, tmp_path: Path) -> None:
    drawn = np.stack([image for image, _ in phantom.draw_case(0, 1)])
    drawn[0, 0, 0] = 255  # in each channel, as LGG's slices were scaled
    paths = [tmp_path / f"P_{place}.png" for place in range(len(drawn))]
    for path, image in zip(paths, drawn, strict=True):
        Image.fromarray(image).save(path)
    assert _compare(segmenter, paths, tmp_path / "P") == (0, 1)


@pytest.mark.slow
@pytest.mark.skipif(
    not {"BRAIN_TUMOR_LGG", "BRAIN_TUMOR_RUN"} <= set(os.environ),
    reason="set them to LGG's folder and a segmenter's run",
)
def test_held_out_patients_as_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal where the published grey levels are kept; `predict` itself scales a scan's, which have no unit."""
    run, root = Path(os.environ["BRAIN_TUMOR_RUN"]), kaggle_3m.list_slices(Path(os.environ["BRAIN_TUMOR_LGG"])).root
    for case, slices in _patients(run, root, 10).items():
        off, dice = _compare(run, slices, tmp_path / case)
        print(f"{case}: scaled, a probability differs by up to {off:.4f}, Dice of the masks is {dice:.4f}")
        with monkeypatch.context() as kept:
            kept.setattr(volumes, "to_bytes", lambda values, _: values.astype(np.uint8))
            assert _compare(run, slices, tmp_path / f"{case}-kept") == (0, 1)
