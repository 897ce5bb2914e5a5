"""The house's rules: which way imports point, and that every configuration composes."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from brain_tumor.config import typed
from brain_tumor.datasets import declared

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "brain_tumor"
CONF = ROOT / "conf"
# The rooms from the ground up: each may import those before it, also late, inside its functions.
FLOORS = (
    "io", "metrics", "scans", "datasets", "runs", "config", "data", "models", "inference", "tracking", "training",
    "evaluation",
)  # fmt: skip
# Beside them, with what each may import: nothing but the cluster's launcher and the commands imports these.
BESIDE = {
    "report": {"io", "metrics", "datasets", "runs", "config"},
    "benchmark": {"io", "metrics", "scans", "datasets", "runs", "config", "data", "models", "inference", "tracking"},
    "page": set(FLOORS),
    "search": {"io", "runs", "config"},
    "cluster": {*FLOORS, "train", "search"},  # Hydra finds the search's sweeper among the cluster's plugins
}
ROOMS = {room: set(FLOORS[:place]) for place, room in enumerate(FLOORS)} | BESIDE
COMMANDS = {"__init__", "train", "evaluate", "predict", "export", "export_dataset", "verify", "intervals"}
# Who knows Hydra, beside the commands: who reads the configuration, the launcher, and what runs in its jobs.
HYDRA = {"config", "cluster", "search"}
# Who under the commands may know Lightning.
LIGHTNING = {
    "data/datamodule.py",
    "models/task.py",
    "models/checkpoint.py",
    "benchmark/loops.py",
    "benchmark/sections.py",
    "evaluation/evaluation.py",
    *(f"tracking/{name}.py" for name in ("base", "open", "tensorboard", "csv", "mlflow", "wandb")),
}
# Who may import the libraries that networks come from.
NETWORKS = {
    # benchmark/plain.py is the loop of a reader of the paper, which the package is measured against.
    "torchvision": {"models/backbone.py", "benchmark/plain.py"},
    "timm": {"models/backbone.py", "models/encoders.py", "models/timm_backbone.py"},
    "segmentation_models_pytorch": {"models/decoders.py"},
}


def _imports(path: Path) -> set[str]:
    """Every module that a file imports at any time; `from package import module` counts as the module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _module(name: str) -> str:
    """Return the module that an imported name is in."""
    path = ROOT / name.replace(".", "/")
    return name if path.is_dir() or path.with_suffix(".py").exists() else name.rpartition(".")[0]


def test_every_room_has_its_rules() -> None:
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms == set(ROOMS)
    within = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.glob("*/*/*.py")}
    assert within == {"report/chapters"}, "rooms have no rooms in them, but for the report's chapters"


def test_the_root_holds_commands_alone() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == COMMANDS
    for name in COMMANDS - {"__init__"}:
        text = (PACKAGE / f"{name}.py").read_text()
        assert f"\n\npython -m brain_tumor.{name}" in text.split('"""')[1], f"{name}: a command to copy on top"
        assert not {top for top in map(_room, _imports(PACKAGE / f"{name}.py")) if top in COMMANDS}, name


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    for path in (PACKAGE / room).rglob("*.py"):
        if path.name == "__main__.py":
            continue  # a command, which stands above the rooms
        for name in _imports(path):
            top = name.partition(".")[0]
            assert room in HYDRA or top not in {"hydra", "omegaconf"}, f"{path}: this room knows nothing of Hydra"
            if top == "brain_tumor":
                assert _room(name) in ROOMS[room] | {room}, f"{path} imports {name}"
            if top == "lightning" and room not in {"config", "training"}:
                assert path.relative_to(PACKAGE).as_posix() in LIGHTNING, f"{path} knows Lightning"


def _room(name: str) -> str:
    """Return the room, or the command, that an imported name is in; "" for what is not ours."""
    top, _, rest = name.partition(".")
    return rest.partition(".")[0] if top == "brain_tumor" else ""


def test_nothing_imports_what_is_optional() -> None:
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0]
        optional = tuple(f"brain_tumor.{room}" for room in ("page", "cluster", "search") if room != own)
        if "hydra_plugins" in path.parts:
            continue
        assert not [name for name in _imports(path) if name.startswith(optional)], path


# Texts that are also called like a data set, by the file that has them, with what they mean there.
MEANT_OTHERWISE = {
    "report/chapters/cost.py": {"folder"},  # a column: where a run is
    "data/inspection.py": {"folder", "cases"},  # a line that is printed: where the data is
    # Patients, as a title or a column, or a way to split.
    "config/names.py": {"cases"},
    "data/split.py": {"cases"},
    "inference/output_folder.py": {"cases"},
    "runs/summary.py": {"cases"},
    # What the page calls the case that it draws.
    "page/app.py": {"phantom"},
    "page/answers.py": {"phantom"},
}


def test_nobody_else_asks_which_data_it_is() -> None:
    names = set(declared.by_name())
    assert names >= {"lgg", "cheng", "phantom", "folder"}
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).as_posix()
        if not place.startswith("datasets/"):
            texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
            assert texts & names == MEANT_OTHERWISE.get(place, set()), f"{place}: ask the declaration for a fact"


def test_a_data_set_stands_in_the_file_that_is_called_like_it() -> None:
    for name, one in declared.by_name().items():
        assert (one.__module__, one.__name__) == (f"brain_tumor.datasets.{name}", name.capitalize())
        written: Any = OmegaConf.load(CONF / "data" / f"{name}.yaml")
        assert written["_target_"] == f"{one.__module__}.{one.__name__}"


def test_networks_come_from_one_module() -> None:
    for path in PACKAGE.rglob("*.py"):
        for top in {name.partition(".")[0] for name in _imports(path)} & NETWORKS.keys():
            assert path.relative_to(PACKAGE).as_posix() in NETWORKS[top], f"{path} imports {top}"


def test_no_room_but_tracking_knows_a_dashboard() -> None:
    for path in set(PACKAGE.rglob("*.py")) - set((PACKAGE / "tracking").iterdir()):
        used = _imports(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Name):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
        known = ("tensorboard", "summarywriter", "mlflow", "wandb")
        assert not [name for name in used if any(part in name.lower() for part in known)], path


def test_no_module_imports_itself_through_others() -> None:
    graph = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): {
            _module(name) for name in _imports(path) if name.startswith("brain_tumor.")
        }
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph) > 50


def _options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml") if path.stem != "common")


def _compose(name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, [*overrides])


@pytest.mark.parametrize(
    "name",
    [
        "train",
        "evaluate",
        "predict",
        "export",
        "export_dataset",
        "page",
        "verify",
        "intervals",
        "benchmark",
        "score",
        "report",
    ],
)
def test_each_verb_takes_the_keys_of_its_configuration_alone(name: str) -> None:
    own = sorted(map(str, _compose(name)))
    with pytest.raises(ValueError, match=f"unknown key typo; the keys are {', '.join(own)}$"):
        typed.plain(_compose(name, "+typo=1"), name)


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
    needed = {"data=folder": "+data.root=x", "data=custom": "data._target_=tests.toy_data.Spots"}
    node = _compose("train", override, needed.get(override, "seed=0"))[group]
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
    base = _compose("train")
    for changed in groups:
        for option in _options(changed):
            root = ["+data.root=x"] if option == "folder" else []
            composed = _compose("train", f"{changed}={option}", *root)
            for other in (group for group in groups if group != changed):
                assert composed[other] == base[other], f"{changed}={option} changes {other}"
