"""Turn the configuration into plain values, check its keys and types, and make the objects that its groups name.

Importing this module gives Hydra its resolver `pretrained`: data and transforms follow a network's pretraining.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from brain_tumor.config.errors import one_line

_PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED = _PACKAGE / "conf"  # a wheel has the configuration inside
CONF = str(_INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "conf")
# Names of the types that can be checked; a text may look like anything.
_NAMES = {bool: "true or false", int: "an integer", float: "a number", list: "a list: [a, b]", type(None): "null"}


def plain(cfg: DictConfig, command: str) -> dict[str, Any]:
    """Resolve the configuration of a command, such as "train", into plain values.

    Raises:
        ValueError: a key is not in conf/<command>.yaml (Hydra lets `+key=value` through), or a value has another type
            than the one there.
    """
    file: Any = OmegaConf.to_container(OmegaConf.load(Path(CONF, f"{command}.yaml")))
    choices = [choice for entry in file.pop("defaults") if isinstance(entry, dict) for choice in entry.items()]
    # A group that is chosen here is a key. recipe and paper change other groups; "override ..." is Hydra's.
    groups = {name.partition("@")[0] for name, option in choices if option is not None and " " not in name}
    known = sorted({*groups, *file} - {"hydra"})
    if unknown := sorted(set(map(str, cfg)) - set(known)):
        raise ValueError(f"unknown key {', '.join(unknown)}; the keys are {', '.join(known)}")
    config = resolve(cfg, throw_on_missing=True)
    for name, value in config.items():
        if file.get(name) is not None:
            _refuse_misfit(name, value, type(file[name]))
    return config


def make(config: dict[str, Any], group: str, **more: Any) -> Any:
    """Instantiate a group of the configuration.

    Args:
        config: resolved.
        group: with a `_target_`.
        **more: further arguments of the class.

    Raises:
        ValueError: there is no such class, or a value has another type than the class annotates.
        InstantiationException: the class refuses something; the message names the group.
    """
    settings = config[group]
    refuse_misfits(group, settings, named(group, settings))
    return instantiate(OmegaConf.create({group: settings})[group], **more)


def named(group: str, settings: Mapping[str, Any]) -> Any:
    """Return the class or function that the `_target_` of a group names.

    Raises:
        ValueError: there is no such class or function.
    """
    try:
        return get_object(settings["_target_"])
    except ImportError as error:
        raise ValueError(f"{group}._target_={settings['_target_']}: no such class ({one_line(error)})") from error


def refuse_misfits(group: str, settings: Mapping[str, Any], target: Any) -> None:
    """Refuse a setting of another type than a class or function annotates.

    Raises:
        ValueError: a setting has another type.
    """
    hints = _hints(target)
    for name in settings.keys() & hints.keys():
        _refuse_misfit(f"{group}.{name}", settings[name], hints[name])


def _hints(target: Any) -> dict[str, Any]:
    """Return the annotated types of the arguments of a function, or of a class and its base classes."""
    classes = reversed(target.__mro__) if isinstance(target, type) else []
    functions = [vars(base).get("__init__") for base in classes] or [target]
    return {name: hint for function in functions if function for name, hint in get_type_hints(function).items()}


def _refuse_misfit(name: str, value: Any, hint: Any) -> None:
    """Refuse a value that does not have the type, or any type of a union, if these are plain types."""
    types = set(get_args(hint) if get_origin(hint) in (Union, UnionType) else [hint])
    # Where torch takes a number, it also takes a tensor, which no configuration holds.
    types = {type_ for type_ in types if getattr(type_, "__name__", "") != "Tensor"}
    fits = type(value) in types or (type(value) is int and float in types)
    if not fits and types <= set(_NAMES):
        wanted = " or ".join(name for type_, name in _NAMES.items() if type_ in types)
        raise ValueError(f"{name}={value}: must be {wanted}")


def resolve(cfg: DictConfig, throw_on_missing: bool) -> dict[str, Any]:
    """Return plain values; a file of patients in `data.test_cases` is replaced by the names in it."""
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


def follow_networks(pretrained_input: Callable[[str], Mapping[str, Any]]) -> None:
    """Let `pretrained` know what networks were pretrained on, as a command that builds them needs it.

    Args:
        pretrained_input: returns `size`, `mean` and `std` of a network by its name; {} for the paper's input.
    """
    OmegaConf.register_new_resolver("pretrained", partial(_pretrained, pretrained_input), replace=True)


def _pretrained(
    pretrained_input: Callable[[str], Mapping[str, Any]], fact: str, otherwise: Any, *, _root_: DictConfig
) -> Any:
    """Return a fact of the images that the configured network was pretrained on, or another value."""
    model = _root_.get("model") or {}
    name = model.get("backbone") or model.get("encoder")
    return pretrained_input(name).get(fact, otherwise) if isinstance(name, str) else otherwise


follow_networks(lambda _: {})
