"""The configuration as plain values, its keys and their types checked, and the objects that its groups name."""

from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from brain_tumor.config.errors import one_line

_PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED = _PACKAGE / "conf"  # a wheel has the configuration inside
CONF = str(_INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "conf")
# What a configuration's values are called, as far as their type is known to be wrong; a text may look like anything.
_NAMES = {bool: "true or false", int: "an integer", float: "a number", list: "a list: [a, b]", type(None): "null"}


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
    config = resolve(cfg, throw_on_missing=True)
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
    refuse_misfits(group, settings, named(group, settings))
    return instantiate(OmegaConf.create({group: settings})[group], **given)


def named(group: str, settings: Mapping[str, Any]) -> Any:
    """Return the class or function that the `_target_` of a group names.

    Raises:
        ValueError: there is none.
    """
    try:
        return get_object(settings["_target_"])
    except ImportError as error:
        raise ValueError(f"{group}._target_={settings['_target_']}: no such class ({one_line(error)})") from error


def refuse_misfits(group: str, settings: Mapping[str, Any], target: Any) -> None:
    """Refuse a setting of another type than a class or function says it takes.

    Raises:
        ValueError: there is one.
    """
    hints = _hints(target)
    for name in settings.keys() & hints.keys():
        _refuse_misfit(f"{group}.{name}", settings[name], hints[name])


def _hints(target: Any) -> dict[str, Any]:
    """Return the types of what a class, with those it inherits from, or a function takes."""
    classes = reversed(target.__mro__) if isinstance(target, type) else []
    takers = [vars(base).get("__init__") for base in classes] or [target]
    return {name: hint for taker in takers if taker for name, hint in get_type_hints(taker).items()}


def _refuse_misfit(name: str, value: Any, hint: Any) -> None:
    """Refuse a value that is not of a type, or of none of a union's, if they are plain ones."""
    types = set(get_args(hint) if get_origin(hint) in (Union, UnionType) else [hint])
    # Where torch takes a number it also takes a tensor, which no configuration holds.
    types = {one for one in types if getattr(one, "__name__", "") != "Tensor"}
    fits = type(value) in types or (type(value) is int and float in types)
    if not fits and types <= set(_NAMES):
        wanted = " or ".join(words for one, words in _NAMES.items() if one in types)
        raise ValueError(f"{name}={value}: must be {wanted}")


def resolve(cfg: DictConfig, throw_on_missing: bool) -> dict[str, Any]:
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
