"""What every command shares: one-line errors, refused keys, and where runs go."""

import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, RangeSweep
from hydra.errors import HydraException, InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from brain_tumor.config import processes

_PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED = _PACKAGE / "conf"  # a wheel has the configuration inside
CONF = str(_INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "conf")
# Where Hydra finds the launcher `spark`; processes that other launchers start need it on their path, too.
sys.path.append(str(_PACKAGE / "cluster" / "plugins"))
# Groups with a class behind them, which may take more than the configuration lists.
_CLASSES = {
    "trainer": "lightning.Trainer", "optimizer": "the optimizer", "data": "the data module", "model": "the model",
    "transforms": "the transforms",
}  # fmt: skip
_PATHS = {
    "run", "input", "to", "root", "detector", "types", "checkpoint", "output_dir", "cache_dir", "data.root",
    "model.weights", "master", "hydra.launcher.master",
}  # fmt: skip
# What a configuration's values are called, as far as their type is known to be wrong; a text may look like anything.
_KINDS = {bool: "true or false", int: "an integer", float: "a number", list: "a list: [a, b]", type(None): "null"}
# Folders made for runs that are trained anew, by identity and number in the sweep.
_reserved: dict[tuple[str, int], str] = {}


def enter(main: Callable[[], Any]) -> None:
    """Run a Hydra main function; what a user can mend ends in one line and exit code 1.

    HYDRA_FULL_ERROR=1 shows the whole traceback, as in every Hydra program.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show ends nothing
    if not Path(CONF).is_dir():
        sys.exit(f"error: {CONF}: the configuration is missing; install brain_tumor again")
    asked = os.environ.get("HYDRA_FULL_ERROR", "0")
    # Makes Hydra hand errors on instead of printing them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        sys.argv[1:] = [_quote_path(_quote_rows(argument)) for argument in sys.argv[1:]]
        main()
    except (ValueError, OSError, HydraException, OmegaConfBaseException) as error:
        if asked == "1":
            raise
        sys.exit(f"error: {one_line(error)}")
    finally:
        os.environ["HYDRA_FULL_ERROR"] = asked


def _quote_rows(argument: str) -> str:
    """Write paper=19, paper=1,2, paper=range(1,13) and paper=glob(*) with quotes, rows in the table's order.

    Hydra takes a bare number for an int, and refuses that as the choice of a config group.
    """
    if not argument.startswith("paper="):
        return argument
    try:
        value = OverridesParser.create().parse_override(argument).value()
    except HydraException as error:
        raise ValueError(f"{argument}: not understood; write paper=19, paper=1,12, or 'paper=glob(*)'") from error
    if isinstance(value, Glob):
        rows = value.filter(sorted((path.stem for path in Path(CONF, "paper").glob("*.yaml")), key=int))
    elif isinstance(value, ChoiceSweep):
        rows = value.list
    elif isinstance(value, RangeSweep):
        rows = list(value.range())
    else:
        return argument if value is None else f"paper='{value}'"
    return "paper=" + ",".join(f"'{row}'" for row in rows)


def _quote_path(argument: str) -> str:
    """Write `input=scan (1).nii.gz` with quotes: Hydra's grammar takes blanks, brackets and numbers for its own.

    What it understands, such as a list, stays as it is.
    """
    key, sign, value = argument.partition("=")
    if not sign or not (key in _PATHS or key.startswith("sequences.")):
        return argument
    try:
        understood = OverridesParser.create().parse_override(argument).value()
    except HydraException:
        understood = 0
    if not isinstance(understood, int | float):
        return argument
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'"


def plain(cfg: DictConfig, command: str) -> dict[str, Any]:
    """Resolve the configuration of a command, such as "train", into plain values.

    Raises:
        ValueError: it has a key that conf/<command>.yaml has not, since Hydra itself lets `+key=value` through, or a
            value of another type than the one there.
    """
    file: Any = OmegaConf.to_container(OmegaConf.load(Path(CONF, f"{command}.yaml")))
    choices = [choice for entry in file.pop("defaults") if isinstance(entry, dict) for choice in entry.items()]
    # What is chosen here is a key; recipe and paper change others, and "override ..." is Hydra's.
    groups = {name.partition("@")[0] for name, option in choices if option is not None and " " not in name}
    known = sorted({*groups, *file} - {"hydra"})
    if unknown := sorted(set(map(str, cfg)) - set(known)):
        raise ValueError(f"unknown key {', '.join(unknown)}; the keys are {', '.join(known)}")
    config = _resolve(cfg, throw_on_missing=True)
    for name, value in config.items():
        if file.get(name) is not None:
            _refuse_misfit(name, value, type(file[name]))
    return config


def make(config: dict[str, Any], group: str, **given: Any) -> Any:
    """Instantiate a group of the configuration.

    Raises:
        ValueError: there is no such class, or a value is of another type than it says it takes.
        InstantiationException: the class refuses something; the group's name stands in the message.
    """
    settings = config[group]
    try:
        hints = _hints(get_object(settings["_target_"]))
    except ImportError as error:
        raise ValueError(f"{group}._target_={settings['_target_']}: no such class ({one_line(error)})") from error
    for name in settings.keys() & hints.keys():
        _refuse_misfit(f"{group}.{name}", settings[name], hints[name])
    return instantiate(OmegaConf.create({group: settings})[group], **given)


def _hints(target: Any) -> dict[str, Any]:
    """Return the types of what a class, with those it inherits from, or a function takes."""
    takers = [vars(own).get("__init__") for own in reversed(target.__mro__)] if isinstance(target, type) else [target]
    return {name: hint for taker in takers if taker for name, hint in get_type_hints(taker).items()}


def _refuse_misfit(name: str, value: Any, hint: Any) -> None:
    """Refuse a value that is not of a type, or of none of a union's, if they are plain ones."""
    kinds = set(get_args(hint) if get_origin(hint) in (Union, UnionType) else [hint])
    # Where torch takes a number it also takes a tensor, which no configuration holds.
    kinds = {kind for kind in kinds if getattr(kind, "__name__", "") != "Tensor"}
    fits = type(value) in kinds or (type(value) is int and float in kinds)
    if not fits and kinds <= set(_KINDS):
        wanted = " or ".join(words for kind, words in _KINDS.items() if kind in kinds)
        raise ValueError(f"{name}={value}: must be {wanted}")


def _resolve(cfg: DictConfig, throw_on_missing: bool) -> dict[str, Any]:
    """Return plain values, with the names that a file of patients holds in that file's place."""
    values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=throw_on_missing)
    assert isinstance(values, dict)
    data = values.get("data")
    if isinstance(data, dict) and isinstance(file := data.get("test_cases"), str):
        try:
            lines = Path(file).expanduser().read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"data.test_cases={file}: no such file; give [NAME, ...], or a file with a name a line"
            ) from error
        data["test_cases"] = [line.strip() for line in lines if line.strip()]
    return {str(key): value for key, value in values.items()}


def quieten_lightning() -> None:
    """Silence what Lightning says of hardware and products, and its advice that does not apply here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # The loaders yield row numbers only; workers would slow them down.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    # Lightning 2.6 still asks torch's older question.
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
    # A frozen backbone is meant to be in eval mode.
    warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")
    # A resumed run writes on where it was.
    warnings.filterwarnings("ignore", ".*exists and is not empty.*")
    # Slurm may be installed where a run is started without it.
    warnings.filterwarnings("ignore", ".*`srun` command is available on your system but is not used.*")
    # Small data may have fewer batches than the interval of step-wise logging, which is not used.
    warnings.filterwarnings("ignore", ".*smaller than the logging interval.*")


def _run_name(*, _root_: DictConfig) -> str:
    """Tell a run from others in TensorBoard's list: its row, model, strategy, transforms, optimizer, split and seed."""
    choices = HydraConfig.get().runtime.choices
    model, data = _root_.model, _root_.data
    split = data.get("split", "slice")
    if data.get("test_cases") is not None:
        split = "cases"
    if data.get("fold") is not None:
        split = f"fold{data.fold}" + (f"of{data.folds}" if data.get("folds") else "")
    target = data.get("target")
    parts = [
        choices["data"],
        target if target not in {None, "tumour", "class"} else "",
        "crop" if data.get("crop", "none") != "none" else "",
        f"row{_root_.experiment}" if _root_.get("experiment") else "",
        model.get("backbone") or choices["model"],
        model.get("strategy", ""),
        choices["transforms"],
        "" if choices["optimizer"] == "sgd" else choices["optimizer"],
        split,
        f"seed{_root_.seed}",
    ]
    return "-".join(str(part) for part in parts if part)


def _run_folder(output_dir: str, name: str, resume: bool, *, _root_: DictConfig) -> str:
    """Name a run's folder: the one that its configuration has had, or NAME-ID; a new one where it is to start anew."""
    from brain_tumor.runs import run_folder

    job = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    identity = run_folder.run_id(_resolve(job, throw_on_missing=False))
    own = f"{name}-{identity}"
    if resume or not processes.is_global_zero():
        known = run_folder.find(Path(output_dir), identity)
        return known.name if known else own
    job_number = HydraConfig.get().job.num if processes.is_multirun() else 0
    if (identity, job_number) not in _reserved:
        _reserved[identity, job_number] = run_folder.anew(Path(output_dir), own).name
    return _reserved[identity, job_number]


OmegaConf.register_new_resolver("run_name", _run_name, replace=True)
OmegaConf.register_new_resolver("run_folder", _run_folder, replace=True)


def one_line(error: BaseException) -> str:
    """Say in one line what went wrong and where, without the libraries' own advice."""
    text = str(error)
    if not isinstance(error, ValueError | OSError | HydraException | OmegaConfBaseException):
        text = f"{type(error).__name__}: {text}"  # such errors say little, or nothing, by their text alone
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        place = re.search(r"full_key: (\S+)", text)
        cause = re.sub(r"^\w+\.__init__\(\) ", "", str(error.__cause__))
        key = place[1] if place else ""
        text = cause if isinstance(error.__cause__, ValueError) or not key else f"{key}: {cause}"
    elif isinstance(error, MissingMandatoryValue):
        text = f"{error.full_key} has no value: give {error.full_key}=..."
    elif isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {error.strerror}"
    elif isinstance(error, HydraException) and error.__cause__ is not None:
        text = f"{text} {error.__cause__}"
    advice = re.search(r"To append to your config use \+((\w+)\.\S+)", text)
    # Hydra's advice to prefix `+` helps where a class takes the value; other keys are refused all the same.
    text = re.sub(
        r"(To append to your config use \S+|Config search path:.*|full_key: \S+|object_type=\S+)", "", text, flags=re.S
    )
    if advice and advice[2] in _CLASSES:
        text += f": if {_CLASSES[advice[2]]} takes it, write +{advice[1]}"
    return " ".join(text.split()).replace(" :", ":")
