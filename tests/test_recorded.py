"""A run's recorded test comes again from the files of its held-out patients, through `predict`."""

from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from PIL import Image

from brain_tumor import predict
from brain_tumor.config import typed
from brain_tumor.io import run_lengths, tables
from brain_tumor.metrics import calibration
from brain_tumor.runs import record


def _predict(run: Path, files: list[Path], output: Path) -> pd.DataFrame:
    """Predict files; return slices.csv by the files' names."""
    listed = output.with_suffix(".txt")
    listed.write_text("\n".join(map(str, files)))
    with initialize_config_dir(typed.CONF, version_base="1.3"):
        given = [f"run={run}", f"input={listed}", f"output_dir={output}", "overlays=false"]
        config = typed.plain(compose("predict", given), "predict")
    assert predict.predict(config) == 0
    return pd.read_csv(output / "slices.csv").set_index("case")


def _compare(run: Path, root: Path, output: Path) -> pd.DataFrame:
    recorded = tables.read_csv(run / "predictions.csv")
    files = [root / path for path in recorded["path"]]
    found = _predict(run, files, output).loc[[path.stem for path in files]]
    columns = [str(name) for name in recorded if str(name).startswith("p(")]
    raw = recorded[columns].to_numpy(dtype=float)
    calibrated = record.read(run).get("calibration")
    expected = calibration.soften(raw, calibrated["temperature"]) if calibrated else raw
    # Batches of another size round a sum in another order.
    np.testing.assert_allclose(found[columns], expected, atol=1e-3)
    return recorded


def test_a_classifiers_probabilities(detector: Path, phantoms: Path, tmp_path: Path) -> None:
    assert len(_compare(detector, phantoms / "kaggle_3m", tmp_path / "out")) > 30
    assert "calibration" in record.read(detector)


def test_a_segmenters_masks(segmenter: Path, phantoms: Path, tmp_path: Path) -> None:
    recorded = _compare(segmenter, phantoms / "kaggle_3m", tmp_path / "out")
    different = 0
    for path, text in zip(recorded["path"], recorded["run_lengths"], strict=True):
        with Image.open(tmp_path / "out" / "masks" / f"{Path(path).stem}_mask.png") as image:
            mask = np.asarray(image) > 0
        different += int((mask != run_lengths.from_kaggle(text, *mask.shape).astype(bool)).sum())
    assert different <= 1e-4 * len(recorded) * 256**2
