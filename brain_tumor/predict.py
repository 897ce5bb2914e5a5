"""Run trained models on your own scans.

python -m brain_tumor.predict input=scan.nii.gz
python -m brain_tumor.predict run=outputs/NAME input=scan.nii.gz
python -m brain_tumor.predict run=model.onnx input=scan.nii.gz
python -m brain_tumor.predict 'run=outputs/*fold*of5*' input=scan.nii.gz
python -m brain_tumor.predict run=outputs/SEGMENTER detector=outputs/CLASSIFIER input=folder output_dir=predictions
python -m brain_tumor.predict run=outputs/SEGMENTER study=folder
python -m brain_tumor.predict run=outputs/SEGMENTER study=folder dicom_seg=true intervals=intervals.json
python -m brain_tumor.predict run=outputs/SEGMENTER study=folder register=rigid mask_grids=all
python -m brain_tumor.predict run=outputs/SEGMENTER types=outputs/TYPES sequences.flair=f.nii sequences.t1ce=c.nii
python -m brain_tumor.predict run=outputs/NAME 'sequences.flair=in/*_flair.nii' 'sequences.t1ce=in/*_t1ce.nii'
"""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from brain_tumor.config import cli, quiet, typed

if TYPE_CHECKING:
    from brain_tumor.inference.predictor import Predictor
    from brain_tumor.scans.cases import CaseList

_NAMED = 10  # skipped files that are printed


@hydra.main(config_path=typed.CONF, config_name="predict", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Predict the cases; resume an earlier call that was cut off. Exit with 1 if a case has failed."""
    config = typed.plain(cfg, "predict")
    if predict(config):
        sys.exit(1)


def predict(config: dict[str, Any]) -> int:
    """Predict every case, write the tables, and return the number of failed cases.

    Raises:
        ValueError: the runs or the inputs cannot be used at all.
    """
    from brain_tumor.scans import study

    if not config["study"]:
        return _predict(config, None)
    if config["input"] or config["patient_pattern"]:
        raise ValueError("study: goes without input and patient_pattern; give one of them")
    with study.opened(str(config["study"]), Path(config["output_dir"])) as folder:
        return _predict(config, folder)


def _predict(config: dict[str, Any], study_folder: Path | None) -> int:
    from brain_tumor.inference import opening, other_grids, pipeline, two_stage
    from brain_tumor.inference.extras import Extras
    from brain_tumor.inference.output_folder import Predictions
    from brain_tumor.inference.predictor import Predictor
    from brain_tumor.scans import cases as cases_
    from brain_tumor.scans import registration, sequences, study, volumes

    quiet.quieten_readers()
    volumes.refuse_preset(config["preset"])
    registration.refuse(config["register"])
    if not config["run"]:
        config = opening.with_default_chain(config)
        print(f"no run= is given; the pretrained models predict: {opening.chain(config)}")
    runs = opening.open_runs(config)
    if text := opening.introduction(runs):
        print(text)
    refuse = two_stage.refuse_unlike if config["input"] else two_stage.refuse_unknown
    refuse(runs)
    needed = sequences.needed(run.sequences for run in runs.values())
    known = sequences.shown([run.sequences for run in runs.values()])
    mask_grids = other_grids.requested(config["mask_grids"], runs["run"].task, _sequences(config, known))
    shown = (*known, *mask_grids)
    if study_folder is None:
        found = cases_.find(config["input"], config["sequences"], needed, config["patient_pattern"], shown)
    else:
        grids = study.SEQUENCES if other_grids.ALL in mask_grids else mask_grids
        wanted = dict.fromkeys((*(known if "flair" in needed else needed), *grids))
        found = _of_study(config, study_folder, needed, tuple(wanted))
    cases, others, left_out = found
    skipped = {str(path): reason for path, reason in left_out.items()}
    todo = pipeline.part(cases, config["part"])
    predictor = Predictor.of(runs, config["threshold"], config["keep_from"])
    if remark := _unused(config["threshold"], predictor):
        print(remark, file=sys.stderr)
    preset = predictor.preset(config["preset"])
    more = Extras.of(config, predictor, cases, mask_grids)
    settings = {**predictor.identity, "preset": preset, "register": config["register"], **more.identity}
    written = Predictions(Path(config["output_dir"]), settings)
    started = time.perf_counter()
    pipeline.run(predictor, todo, written, preset, config["overlays"], config["pages"], config["register"], more)
    seconds = time.perf_counter() - started
    facts = {**predictor.describe(), "seconds": seconds, "passed over": others, "skipped": skipped, **more.facts}
    failed = written.finish([case.name for case in cases], facts)
    print(written.overview(predictor.run.positive))
    _report(skipped, failed)
    for line in more.remarks(written.folder, todo):
        print(line)
    print(f"predictions: {written.folder}")
    return len(failed)


def _sequences(config: dict[str, Any], known: Sequence[str]) -> tuple[str, ...]:
    """Return the sequences that the cases may have; () where their scans are not named."""
    from brain_tumor.scans import study

    if config["study"]:
        return tuple(dict.fromkeys((*study.SEQUENCES, *known)))
    return () if config["input"] else tuple(name for name, pattern in config["sequences"].items() if pattern)


def _of_study(config: dict[str, Any], folder: Path, needed: Sequence[str], wanted: Sequence[str]) -> "CaseList":
    """Choose the scans of a study's case, and say and write for every scan why it was chosen or not.

    Raises:
        ValueError: a sequence that the runs see cannot be told.
    """
    import pandas as pd

    from brain_tumor.io import tables
    from brain_tumor.scans import study
    from brain_tumor.scans.cases import Case, CaseList

    found = study.find(folder, str(config["study"]), config["sequences"], needed, wanted)
    print("\n".join(found.lines()))
    output_dir = Path(config["output_dir"])
    output_dir.mkdir(parents=True, exist_ok=True)
    tables.write_csv(output_dir / "study.csv", pd.DataFrame(found.rows()))
    if found.problem:
        raise ValueError(found.problem)
    return CaseList([Case(found.name, found.sources)], found.ignored, {})


def _unused(threshold: float | None, predictor: "Predictor") -> str:
    """Return a remark if the user's threshold decides nothing; else ""."""
    run = predictor.run
    if threshold is None or predictor.detector:
        return ""
    if run.task == "segmentation":
        return f"threshold={threshold}: decides nothing without a detector; masks hold the pixels from .5 on"
    if run.positive is None:
        return (
            f"threshold={threshold}: decides nothing, since nobody says which of {', '.join(run.classes)} is positive"
        )
    return ""


def _report(skipped: Mapping[str, str], failed: Sequence[Mapping[str, Any]]) -> None:
    """Print the first of the skipped files, and the failed cases, each with the reason."""
    for path, reason in list(skipped.items())[:_NAMED]:
        print(f"skipped: {path}: {reason}", file=sys.stderr)
    if len(skipped) > _NAMED:
        print(f"skipped: {len(skipped) - _NAMED} more, which predict.json lists", file=sys.stderr)
    for row in failed:
        named = not row["source"] or row["source"] in row["reason"]
        print(f"failed: {row['case']}: {row['reason']}" + ("" if named else f" ({row['source']})"), file=sys.stderr)


if __name__ == "__main__":
    cli.enter(main)
