"""What every command shares: one-line errors, refused keys, and where runs go."""

import logging
import os
import re
import secrets
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, RangeSweep
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

CONF = str(Path(__file__).resolve().parents[1] / "conf")
# Distinguishes runs of one configuration, also those started in the same second.
_TOKEN = secrets.token_hex(3)


def enter(main: Callable[[], Any]) -> None:
    """Run a Hydra main function; what a user can mend ends in one line and exit code 1.

    HYDRA_FULL_ERROR=1 shows the whole traceback, as in every Hydra program.
    """
    if not Path(CONF).is_dir():
        sys.exit(f"error: {CONF}: the configuration is missing; install from a checkout, with pip install --editable .")
    verbose = os.environ.get("HYDRA_FULL_ERROR") == "1"
    # Makes Hydra hand errors on instead of printing them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        sys.argv[1:] = map(_quote_rows, sys.argv[1:])
        main()
    except (ValueError, OSError, HydraException, OmegaConfBaseException) as error:
        if verbose:
            raise
        sys.exit(f"error: {one_line(error)}")


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


def plain(cfg: DictConfig, known: Iterable[str]) -> dict[str, Any]:
    """Resolve a configuration into plain values.

    Raises:
        ValueError: it has a key that is not `known`; Hydra itself lets `+key=value` through.
    """
    unknown = sorted(set(map(str, cfg)) - set(known))
    if unknown:
        raise ValueError(f"unknown key {', '.join(unknown)}; the keys are {', '.join(sorted(known))}")
    values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    assert isinstance(values, dict)
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
    # Small data may have fewer batches than the interval of step-wise logging, which is not used.
    warnings.filterwarnings("ignore", ".*smaller than the logging interval.*")


def _run_folder(output_dir: str, name: str, resume: bool, *, _root_: DictConfig) -> str:
    """Name this run's folder: a new one, or where asked to resume the one that the same configuration has."""
    from brain_tumor.results import record

    job = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    config = OmegaConf.to_container(job, resolve=True)
    assert isinstance(config, dict)
    identity = record.run_id({str(key): value for key, value in config.items()})
    known = record.find(Path(output_dir), identity) if resume else None
    return known.name if known else f"{name}-{identity}-{_TOKEN}"


OmegaConf.register_new_resolver("run_folder", _run_folder, replace=True)


def one_line(error: BaseException) -> str:
    """Say in one line what went wrong and where, without the libraries' own advice."""
    text = str(error)
    if not isinstance(error, ValueError | OSError | HydraException | OmegaConfBaseException):
        text = f"{type(error).__name__}: {text}"  # such errors say little, or nothing, by their text alone
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        found = re.search(r"full_key: (\S+)", text)
        cause = re.sub(r"^\w+\.__init__\(\) ", "", str(error.__cause__))
        key = found[1] if found else ""
        text = cause if isinstance(error.__cause__, ValueError) or not key else f"{key}: {cause}"
    elif isinstance(error, MissingMandatoryValue):
        text = f"{error.full_key} has no value: give {error.full_key}=..."
    elif isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {error.strerror}"
    elif isinstance(error, HydraException) and error.__cause__ is not None:
        text = f"{text} {error.__cause__}"
    # Hydra's advice to prefix `+` leads nowhere here: such keys are refused.
    text = re.sub(
        r"(To append to your config use \S+|Config search path:.*|full_key: \S+|object_type=\S+)", "", text, flags=re.S
    )
    return " ".join(text.split())
