"""Judge a model that is trained on all patients by the runs of the folds, which were trained in the same way.

Each patient was tested once by a model that had not seen the patient. What a final model cannot measure on patients of
its own comes from there: its temperature, its threshold, and how good to expect it to be.
"""

from collections.abc import Sequence

import pandas as pd
import torch

from brain_tumor.data.targets import TUMOUR_CLASSES
from brain_tumor.inference import opening
from brain_tumor.inference.ensemble import Ensemble
from brain_tumor.inference.trained import Trained
from brain_tumor.io import tables
from brain_tumor.metrics import calibration, classification, segmentation
from brain_tumor.runs import alike
from brain_tumor.runs.card import Judged


def judge(run: Trained, names: str | Sequence[str], trusted: Sequence[str] = ()) -> Judged:
    """Pool the predictions of the folds; of inner folds, too, which leave out the patients of an outer one.

    Args:
        run: the final one.
        names: of the folds' run folders: paths, or a pattern of paths.
        trusted: modules of the user whose classes these may name.

    Raises:
        ValueError: the runs were trained in another way or on other data, a fold is missing, or a slice is twice there.
    """
    opened = opening.open_run(names, trusted)
    runs = list(opened.runs) if isinstance(opened, Ensemble) else [opened]
    folds = [fold for fold in runs if isinstance(fold, Trained)]
    if len(folds) < len(runs) or len(folds) < 2:
        raise ValueError(f"folds={names}: name the run folders of at least two folds")
    wanted = alike.same_but_for(run.record, "split", "seed")
    for fold in folds:
        if alike.same_but_for(fold.record, "split", "seed") != wanted:
            raise ValueError(f"folds={fold.folder}: was not trained like run={run.folder}; only the split may differ")
    table = pd.concat(
        [tables.read_csv(fold.folder / "predictions.csv").assign(fold=place) for place, fold in enumerate(folds)],
        ignore_index=True,
    )
    if table["path"].duplicated().any():
        raise ValueError(f"folds={names}: two runs test {table['path'][table['path'].duplicated()].iloc[0]}")
    split = folds[0].record["split"]
    if missing := sorted(set(range(split["folds"] or 0)) - {fold.record["split"]["fold"] for fold in folds}):
        raise ValueError(f"folds={names}: of {split['folds']} folds, {', '.join(map(str, missing))} is missing")
    return _judge(run, table, len(folds))


def _judge(run: Trained, table: pd.DataFrame, folds: int) -> Judged:
    raw, labels = classification.probabilities_of(table).to_numpy(dtype=float), table["label"].to_numpy()
    segments = run.task == "segmentation"
    place = 1 if segments else classification.place_of(run.positive, run.classes)
    temperature = calibration.fit(raw, labels) or calibration.RAW
    calibrated = calibration.soften(raw, temperature)
    decides = place is not None and 0 < (labels == place).mean() < 1
    threshold = calibration.fit_threshold(calibrated[:, place], labels == place) if decides else 0.5
    if segments:
        assert list(run.classes) == list(TUMOUR_CLASSES), "a segmenter tells tumour from none"
        thirds = segmentation.terciles(table["area"].to_numpy())
        scores = segmentation.score(table, thirds, list(table["fold"]))
    else:
        probabilities = [torch.tensor(calibrated)]
        scores = classification.score_folds(
            probabilities, torch.tensor(labels), list(table["case"]), list(table["fold"]), place
        )
    return Judged(temperature, threshold, scores, table["case"].nunique(), len(table), folds)
