"""The house's rules: which way imports point, and that every configuration composes."""

import ast
import itertools
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from brain_tumor import benchmark, evaluate, train, verify

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
# What each room may import of the package, and what of these libraries.
ROOMS = {
    "data": {"data"},
    "results": {"results"},
    "models": {"models", "data", "results"},
    "reports": {"reports", "results"},
    "speed": {"speed", "models", "data"},
}
LIGHTNING = {
    "data/datamodule.py",
    "models/classifier.py",
    "models/checkpoint.py",
    "speed/loops.py",
    "speed/sections.py",
}


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    for path in (ROOT / "brain_tumor" / room).glob("*.py"):
        for name in _imports(path):
            top, *rest = name.split(".")
            assert top not in {"hydra", "omegaconf"}, f"{path}: rooms under the doors know nothing of Hydra"
            if top == "brain_tumor":
                assert rest[0] in ROOMS[room], f"{path} imports {name}"
            if top == "lightning":
                assert f"{room}/{path.name}" in LIGHTNING, f"{path} knows Lightning"


def _options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml") if path.stem != "common")


def _compose(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, [*overrides])


@pytest.mark.parametrize("name", ["train", "evaluate", "verify", "benchmark"])
def test_each_door_knows_the_keys_of_its_configuration(name: str) -> None:
    door = {"train": train, "evaluate": evaluate, "verify": verify, "benchmark": benchmark}[name]
    assert set(_compose(name, "data=phantom")) | {"data"} == door.KEYS


@pytest.mark.parametrize(
    "override",
    [
        f"{group}={option}"
        for group in ("data", "model", "transforms", "optimizer", "trainer")
        for option in _options(group)
    ],
)
def test_every_option_composes_and_names_real_things(override: str) -> None:
    group = override.split("=")[0]
    node = _compose("train", override, "+data.root=x" if override == "data=folder" else "seed=0")[group]
    from hydra.utils import get_object

    assert callable(get_object(node["_target_"]))


def test_the_papers_transforms() -> None:
    found: dict[str, Any] = {}
    for name, (flip, normalize) in {
        "resize": (0, False), "norm": (0, True), "flip": (0.5, False), "flip_norm": (0.5, True)
    }.items():  # fmt: skip
        transforms = instantiate(_compose("train", f"transforms={name}").transforms)
        assert (transforms.flip, transforms.normalize, transforms.warps) == (flip, normalize, False)
        found[name] = transforms
    assert instantiate(_compose("train", "transforms=augment").transforms).warps
    assert found["norm"].mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


def test_the_default_optimizer_is_the_papers() -> None:
    sgd = _compose("train").optimizer
    assert (sgd.lr, sgd.momentum) == (0.001, 0.5)


def test_a_group_sets_only_what_its_name_says() -> None:
    """Choosing another model must not change data, transforms, optimizer or trainer, and so on for each group."""
    groups = ["data", "model", "transforms", "optimizer", "trainer"]
    options = {"data": "lgg", "model": "resnet50", "transforms": "resize", "optimizer": "adam", "trainer": "ddp"}
    base = _compose("train")
    for changed, other in itertools.permutations(groups, 2):
        assert _compose("train", f"{changed}={options[changed]}")[other] == base[other]
