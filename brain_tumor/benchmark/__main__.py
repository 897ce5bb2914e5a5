"""Measure how fast training is on this machine, beside a plain loop and the hardware's limit.

python -m brain_tumor.benchmark
python -m brain_tumor.benchmark data=lgg data.root=/data/lgg transforms=resize
python -m brain_tumor.benchmark 'sections=[training,loading]' 'models=[resnet18]' repeats=5
"""

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from brain_tumor.config import cli, quiet, typed

if TYPE_CHECKING:
    from brain_tumor.benchmark.bench import Bench
    from brain_tumor.benchmark.measure import Row


@hydra.main(config_path=typed.CONF, config_name="benchmark", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Run the sections, print the table, and save it as JSON and Markdown."""
    config = typed.plain(cfg, "benchmark")
    from brain_tumor.benchmark import measure
    from brain_tumor.benchmark.sections import SECTIONS
    from brain_tumor.runs import run_folder

    _check(config, list(SECTIONS))
    bench = _bench(config)
    rows = []
    print(measure.HEAD)
    for name in config["sections"]:
        for row in SECTIONS[name](bench):
            print(measure.line(row), flush=True)
            rows.append(row)
    folder = run_folder.make_numbered(Path(config["output_dir"]) / "benchmark")
    _save(folder, config, bench, rows)
    print(f"\nsaved: {folder}")


def _check(config: dict[str, Any], sections: list[str]) -> None:
    """Check the settings that only the benchmark has.

    Raises:
        ValueError: one has a value that cannot be measured.
    """
    for name in ("repeats", "batches", "epochs"):
        if config[name] < 1:
            raise ValueError(f"{name}={config[name]}: must be at least 1")
    unknown = sorted(set(config["sections"]) - set(sections))
    if unknown:
        raise ValueError(f"sections: no {', '.join(unknown)}; choose from {', '.join(sections)}")
    if config["trainer"]["compile"]:
        raise ValueError("trainer.compile=true: the benchmark measures without; leave it out")


def _save(folder: Path, config: dict[str, Any], bench: "Bench", rows: list["Row"]) -> None:
    """Write benchmark.json and benchmark.md into a folder."""
    from brain_tumor.benchmark import measure
    from brain_tumor.data import description
    from brain_tumor.io import tables
    from brain_tumor.runs.versions import versions as find_versions

    versions = find_versions(bench.device, bench.precision)
    measured: dict[str, Any] = {
        "config": config,
        "data": description.describe(bench.data),
        "versions": versions,
        "rows": [asdict(row) for row in rows],
    }
    tables.write_json(folder / "benchmark.json", measured)
    title = (
        f"{versions['hardware']}, {versions['threads']} threads, {versions['arithmetic']}, torch {versions['torch']}"
    )
    (folder / "benchmark.md").write_text(f"{title}; {len(bench.data.table)} slices\n\n{measure.markdown(rows)}\n")


def _bench(config: dict[str, Any]) -> "Bench":
    """Set up the data and everything else that the sections share."""
    import lightning as L

    from brain_tumor.benchmark.bench import Bench
    from brain_tumor.data import opening
    from brain_tumor.models import precision as precisions

    quiet.quieten_lightning()
    L.seed_everything(config["seed"], verbose=False)
    data = _data(config)
    networks = {model["backbone"]: model for model in config["model"].values()}
    missing = sorted(set(config["models"]) - set(networks))
    if missing:
        raise ValueError(f"models: no {', '.join(missing)}; choose from {', '.join(networks)}")
    optimizer = typed.make(config, "optimizer")
    shared = _shared_overrides()

    def build(name: str, strategy: str) -> Any:
        trained = "layer4" if strategy == "partial" else None
        settings = {**networks[name], "strategy": strategy, "trained": trained}
        return instantiate(settings, optimizer=optimizer, num_classes=data.num_classes, monitored=data.monitored)

    def arguments(name: str, strategy: str) -> list[str]:
        weights = networks[name]["weights"]
        return [*shared, f"model={name}", f"model.strategy={strategy}", f"model.weights={weights}"]

    precision = precisions.resolve(config["trainer"]["precision"], config["trainer"]["accelerator"])
    precisions.use(precision)
    trainer = {key: config["trainer"][key] for key in ("accelerator", "devices", "deterministic")}
    trainer["precision"] = precision
    device = L.Trainer(**trainer, logger=False, enable_checkpointing=False).strategy.root_device

    def fill(cache: Path) -> None:
        if data.dataset.drawn:
            moved = {"data": {**config["data"], "cache_dir": str(cache)}}
            opening.open_data(moved, data.transforms).dataset.listing()

    options = {key: config[key] for key in ("models", "repeats", "batches", "epochs")} | {"fill": fill}
    return Bench(data, build, arguments=arguments, precision=precision, device=device, trainer=trainer, **options)


def _data(config: dict[str, Any]) -> Any:
    """Set up the data module.

    Raises:
        ValueError: training or test part has fewer than three whole batches.
    """
    from brain_tumor.data import opening

    data = opening.open_data(config, typed.make(config, "transforms"), config["seed"])
    data.prepare_data()
    data.setup()
    if min(len(data.rows["train"]) // data.batch_size, len(data.rows["test"]) // data.batch_size) < 3:
        raise ValueError("data: too few slices to measure; three training and test batches are needed")
    return data


def _shared_overrides() -> list[str]:
    """Return the overrides with which the training command uses the same data and settings as this process."""
    choices = HydraConfig.get().runtime.choices
    shared = [f"{group}={choices[group]}" for group in ("data", "transforms", "optimizer", "trainer")]
    shared += _values(HydraConfig.get().overrides.task)
    return shared


def _values(overrides: list[str]) -> list[str]:
    """Return the overrides of single values that the training command understands in the same way."""
    return [text for text in overrides if re.match(r"\+*(data|transforms|optimizer|trainer)\.|cache_dir=|seed=", text)]


if __name__ == "__main__":
    cli.enter(main)
