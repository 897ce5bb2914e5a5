"""Names of runs on the command line and on disk: rows, paths, names and folders.

Importing this module gives Hydra its resolvers `run_name` and `run_folder`.
"""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, RangeSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from brain_tumor.config import paper_rows, processes
from brain_tumor.config.typed import resolve

_PATHS = {
    "run", "input", "to", "root", "folders", "detector", "types", "checkpoint", "output_dir", "cache_dir", "data.root",
    "model.weights", "logger.mlflow.uri", "master", "hydra.launcher.master",
}  # fmt: skip
# Folders made for runs with resume=false, by identity and number in the sweep.
_reserved: dict[tuple[str, int], str] = {}


def quote(argument: str) -> str:
    """Quote an argument of the command line so that Hydra reads it as the user means it."""
    return _quote_path(_quote_rows(argument))


def _quote_rows(argument: str) -> str:
    """Quote the rows of paper=19, paper=1,2, paper=range(1,13) and paper=glob(*), in the table's order.

    Hydra reads a bare number as an int, and refuses an int as the choice of a config group.
    """
    if not argument.startswith("paper="):
        return argument
    try:
        value = OverridesParser.create().parse_override(argument).value()
    except HydraException as error:
        raise ValueError(f"{argument}: not understood; write paper=19, paper=1,12, or 'paper=glob(*)'") from error
    if isinstance(value, Glob):
        rows = value.filter(paper_rows.ROWS)
    elif isinstance(value, ChoiceSweep):
        rows = value.list
    elif isinstance(value, RangeSweep):
        rows = list(value.range())
    else:
        return argument if value is None else f"paper='{value}'"
    return "paper=" + ",".join(f"'{row}'" for row in rows)


def _quote_path(argument: str) -> str:
    """Quote paths such as `input=scan (1).nii.gz`, since blanks, brackets and numbers mean something else to Hydra.

    What Hydra reads as text or as a list stays as it is.
    """
    key, sign, value = argument.partition("=")
    if not sign or not (key in _PATHS or key.startswith("sequences.")):
        return argument
    try:
        parsed = OverridesParser.create().parse_override(argument).value()
    except HydraException:
        parsed = 0
    if not isinstance(parsed, int | float):
        return argument
    return f"{key}={quoted(value)}"


def quoted(text: str) -> str:
    """Quote a text so that Hydra reads all of it as one value."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _run_name(*, _root_: DictConfig) -> str:
    """Name a run by its data, row, model, strategy, transforms, optimizer, split and seed."""
    choices = HydraConfig.get().runtime.choices
    model, data = _root_.model, _root_.data
    split = data.get("split", "slice")
    if data.get("test_cases") is not None:
        split = "cases"
    if data.get("site") is not None:
        split = f"site{data.site}"
    if data.get("fold") is not None:
        split = f"fold{data.fold}" + (f"of{data.folds}" if data.get("folds") else "")
    if data.get("inner_fold") is not None:
        split += f"-inner{data.inner_fold}of{data.inner_folds}"
    if data.get("gap") is not None:
        split += f"-gap{data.gap}"
    if data.get("train_patients") is not None:
        split += f"-{data.train_patients}patients{data.draw_seed}"
    target = data.get("target")
    parts = [
        choices["data"],
        f"{target}{data.get('target_seed') or ''}" if target not in {None, "tumour", "class"} else "",
        "crop" if data.get("crop", "none") != "none" else "",
        f"row{_root_.experiment}" if _root_.get("experiment") else "",
        f"unet-{model.encoder}" if choices["model"] == "unet" else model.get("backbone") or choices["model"],
        model.get("strategy", ""),
        choices["transforms"],
        "" if choices["optimizer"] == "sgd" else choices["optimizer"],
        split,
        f"seed{_root_.seed}",
    ]
    return "-".join(str(part) for part in parts if part)


def _run_folder(output_dir: str, name: str, resume: bool, *, _root_: DictConfig) -> str:
    """Return a run's folder: the one that its configuration has already, or NAME-ID; with resume=false a new one."""
    from brain_tumor.runs import identity, run_folder

    job = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    run_id = identity.run_id(resolve(job, throw_on_missing=False))
    new_name = f"{name}-{run_id}"
    if resume or not processes.is_global_zero():
        folder = run_folder.find(Path(output_dir), run_id)
        if folder is None and not resume:
            # The first process has still to make the folder, and would make another where one is there.
            return os.path.relpath(_temporary_folder(), output_dir)
        return folder.name if folder else new_name
    job_number = HydraConfig.get().job.num if processes.is_multirun() else 0
    if (run_id, job_number) not in _reserved:
        _reserved[run_id, job_number] = run_folder.make_new(Path(output_dir), new_name).name
    return _reserved[run_id, job_number]


@cache
def _temporary_folder() -> str:
    """Make a folder for what Hydra writes in a process that is told where to train; it goes with the process."""
    folder = tempfile.mkdtemp(prefix="brain_tumor-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


OmegaConf.register_new_resolver("run_name", _run_name, replace=True)
OmegaConf.register_new_resolver("run_folder", _run_folder, replace=True)
