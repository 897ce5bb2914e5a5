"""Export a trained run as one ONNX file, which needs neither torch nor this package, with a model card.

python -m brain_tumor.export run=outputs/NAME to=model.onnx
python -m brain_tumor.export run=outputs/NAME to=model.onnx input=folder
python -m brain_tumor.export run=outputs/NAME to=small.onnx precision=int8
python -m brain_tumor.export run=outputs/FINAL to=model.onnx 'folds=outputs/*fold*of5*'
"""

from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from brain_tumor.config import cli, typed

PRECISIONS = ("float32", "int8")


@hydra.main(config_path=typed.CONF, config_name="export", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Export a run, and print how much file, network and `predict` differ."""
    config = typed.plain(cfg, "export")
    print(export(config))
    print(f"exported: {config['to']} (model card: {Path(config['to']).with_suffix('.md')})")


def export(config: dict[str, Any]) -> str:
    """Write file and model card, both or neither, and return a table of how the file was checked.

    Raises:
        ValueError: the run cannot be exported, there are no slices to check it on, or the file predicts something else.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ValueError(f"export: needs {error.name}: pip install 'brain-tumor[onnx]'") from error
    from brain_tumor.scans import volumes

    to = Path(config["to"])
    if to.suffix != ".onnx" or not to.parent.is_dir():
        raise ValueError(f"to={to}: name a file ending in .onnx, in a folder that exists")
    volumes.refuse_preset(config["preset"])
    if config["precision"] not in PRECISIONS:
        raise ValueError(f"precision={config['precision']}: choose one of {', '.join(PRECISIONS)}")
    from brain_tumor.inference import check_slices, export, fold_runs, trained
    from brain_tumor.runs import card

    run = trained.open_run(Path(config["run"]), config["trusted"])
    if config["input"]:
        pictures = check_slices.pictures(config["input"])
    else:
        pictures = check_slices.tested(run, config["root"], config["cache_dir"])
    quantized_on = (
        check_slices.data_of(run, config["root"], config["cache_dir"]) if config["precision"] == "int8" else None
    )
    judged = fold_runs.judge(run, config["folds"], config["trusted"]) if config["folds"] else None
    checked = export.export(run, to, pictures, config["preset"], config["threshold"], quantized_on, judged)
    return card.checks(checked)


if __name__ == "__main__":
    cli.enter(main)
