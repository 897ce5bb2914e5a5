"""Say of scans of one's own what trained runs see in them, and where.

python -m brain_tumor.predict run=outputs/NAME input=scan.nii.gz
python -m brain_tumor.predict run=model.onnx input=scan.nii.gz
python -m brain_tumor.predict 'run=outputs/*fold*of5*' input=scan.nii.gz
python -m brain_tumor.predict run=outputs/SEGMENTER detector=outputs/CLASSIFIER input=folder output_dir=predictions
python -m brain_tumor.predict run=outputs/SEGMENTER types=outputs/TYPES sequences.flair=f.nii sequences.t1ce=c.nii
python -m brain_tumor.predict run=outputs/NAME 'sequences.flair=in/*_flair.nii' 'sequences.t1ce=in/*_t1ce.nii'
"""

import logging
import sys
import time
import warnings
from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from brain_tumor import cli

if TYPE_CHECKING:
    from brain_tumor.models.outputs import Run


@hydra.main(config_path=cli.CONF, config_name="predict", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Predict what is there; go on where an earlier call was cut off. Exit with 1 where a case has failed."""
    config = cli.plain(cfg, "predict")
    if predict(config):
        sys.exit(1)


def open_run(names: str | Sequence[str], trusted: Sequence[str] = ()) -> "Run":
    """Open a run's folder, or what `export` made of one, for which torch is not needed; of several make one.

    Args:
        names: a path, a pattern of several paths, or several of these.
        trusted: modules of the user's own whose classes a run may name.

    Raises:
        ValueError: there is none, one is damaged, or they have learnt unlike things.
    """
    from brain_tumor.models.ensemble import Ensemble

    given = [names] if isinstance(names, str) else names
    found = [_open(path, trusted) for name in given for path in _paths(name)]
    if not found:
        raise ValueError(f"run={names}: no run is named")
    return found[0] if len(found) == 1 else Ensemble(found)


def _paths(name: str) -> list[Path]:
    """Return the path of that name, or the paths that a pattern finds."""
    if Path(name).exists():
        return [Path(name)]
    return sorted(map(Path, glob(name))) or [Path(name)]


def _open(path: Path, trusted: Sequence[str]) -> "Run":
    from brain_tumor.models.onnx_file import SUFFIX, OnnxRun

    if path.suffix.lower() == SUFFIX:
        return OnnxRun.open(path)
    from brain_tumor import trained

    return trained.open_run(path, trusted)


def predict(config: dict[str, Any]) -> int:
    """Predict every case, write the tables, and return how many cases have failed.

    Raises:
        ValueError: the runs or the inputs cannot be used at all.
    """
    from brain_tumor import pipeline, stages
    from brain_tumor.data import cases as cases_
    from brain_tumor.data import volumes
    from brain_tumor.prediction import Predictor
    from brain_tumor.results.predictions import Predictions

    # What it says of damaged files stands in the tables. Its level would not last: importing pydicom sets it.
    logging.getLogger("pydicom").propagate = False
    for name in ("PIL", "nibabel", "pydicom"):
        warnings.filterwarnings("ignore", module=name)
    if config["preset"] not in volumes.PRESETS:
        raise ValueError(f"preset={config['preset']}: choose one of {', '.join(volumes.PRESETS)}")
    if not 0 <= config["threshold"] <= 1:
        raise ValueError(f"threshold={config['threshold']}: a probability lies between 0 and 1")
    keys = [key for key in ("run", "detector", "types") if config[key]]
    runs = {key: open_run(config[key], config["trusted"]) for key in keys}
    if config["input"]:
        stages.refuse_unlike(runs)
    needed = cases_.needed(run.kind for run in runs.values())
    cases, passed, _ = cases_.find(config["input"], config["sequences"], needed)
    todo = pipeline.part(cases, config["part"])
    predictor = Predictor(runs["run"], runs.get("detector"), config["threshold"], runs.get("types"))
    identity = {"weights": predictor.checkpoints, "preset": config["preset"], "threshold": config["threshold"]}
    written = Predictions(Path(config["output_dir"]), identity)
    started = time.perf_counter()
    pipeline.run(predictor, todo, written, config["preset"], config["overlays"], config["pages"])
    seconds = {"seconds": time.perf_counter() - started, "passed over": passed}
    failed = written.finish([case.name for case in cases], {**predictor.describe(), **seconds})
    print(written.overview())
    for case, reason in failed:
        print(f"failed: {case}: {reason}", file=sys.stderr)
    print(f"predictions: {written.folder}")
    return len(failed)


if __name__ == "__main__":
    cli.enter(main)
