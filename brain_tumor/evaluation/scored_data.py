"""Open the data that a finished run is scored on, its test part or other data, and warn about it."""

from typing import Any

from brain_tumor.data import opening
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.transforms import Transforms
from brain_tumor.inference.trained import Trained
from brain_tumor.runs import leakage


def open_data(run: Trained, scored: Trained, config: dict[str, Any]) -> tuple[SliceDataModule, list[str]]:
    """Open the data to score, and return it with the patients in it that the scored run was trained on.

    Args:
        run: its test part is opened, unless `config` names other data.
        scored: the run that gives size and transforms: `run` itself, or its detector.
        config: the command's.

    Raises:
        ValueError: the data has changed since, has other classes, or holds patients of the training.
    """
    is_other = "_target_" in config["data"]
    size = config["data"]["size"] if scored is run else None
    settings = config, size or scored.size, scored.transforms()
    data = _other_data(scored, *settings) if is_other else _test_data(run, scored, *settings)
    _refuse_misfit(scored, data)
    tested = data.table.iloc[data.rows["test"]]
    if scored is not run:  # a detector has its own classes, whatever the data's are called
        return data, leakage.refuse(scored.folder, tested, config["allow_overlap"])
    classes = run.record["data"]["classes"]
    named = [str(name) for name in config["classes"] or classes]
    if sorted(named) != sorted(data.classes):
        raise ValueError(
            f"data: has the classes {', '.join(data.classes)}; the run tells {', '.join(classes)} apart. "
            "Say which is which by classes=[...], the data's names in the run's order"
        )
    data.reorder(named)
    return data, leakage.refuse(run.folder, tested, config["allow_overlap"]) if is_other else []


def _refuse_misfit(scored: Trained, data: SliceDataModule) -> None:
    """Refuse data with another number of channels, or other regions than a segmenter finds.

    Raises:
        ValueError: it has.
    """
    channels = len(scored.sequences) or 3
    if data.channels != channels:
        raise ValueError(f"data: has {data.channels} channels, and the run {scored.folder} sees {channels}")
    alone = len(data.regions.names) == len(scored.regions.names) == 1
    if scored.task == "segmentation" and data.regions != scored.regions and not alone:
        found, there = (", ".join(regions.names) for regions in (scored.regions, data.regions))
        raise ValueError(
            f"data: has the regions {there}, and the run {scored.folder} finds {found}. Give the same labels and "
            "regions by data.regions"
        )


def _shown(scored: Trained, config: dict[str, Any]) -> dict[str, Any]:
    """Return the data settings by which slices are shown to the scored run."""
    # Where the distance of neighbours is unknown, `predict` takes the next slices, and so does this.
    distance = 0.0 if scored.neighbour_mm is None else scored.neighbour_mm
    seen = {"intensities": scored.intensities, "neighbours": scored.neighbours, "neighbour_mm": distance}
    return seen if config["skull"] is None else {**seen, "skull": config["skull"]}


def _test_data(
    run: Trained, scored: Trained, config: dict[str, Any], size: int, transforms: Transforms
) -> SliceDataModule:
    """Open the data that the run was tested on."""
    if config["classes"] or config["data"]["size"]:
        raise ValueError("classes and data.size are for other data: name it by data=... as well")
    data = run.data(cache_dir=config["cache_dir"], size=size, transforms=transforms, **_shown(scored, config))
    data.prepare_data()
    data.setup()
    if not data.is_content(run.record["data"]["key"], run.size):
        raise ValueError(
            f"{run.folder}: its data has changed since (content {run.record['data']['key']}, now {data.key})"
        )
    return data


def _other_data(scored: Trained, config: dict[str, Any], size: int, transforms: Transforms) -> SliceDataModule:
    """Open other data, all of which is scored."""
    settings = {**config["data"], "split": "none", "size": size, **_shown(scored, config)}
    data = opening.open_data({"data": settings}, transforms)
    data.prepare_data()
    data.setup()
    return data


def doubts(run: Trained, data: SliceDataModule) -> list[str]:
    """Return warnings, one per line, if the data shows other sequences or its classes seem to be in the wrong order.

    Args:
        run: the scored one.
        data: that the run is scored on, its classes in the run's order.
    """
    lines = []
    classes, positive = run.record["data"]["classes"], run.record["data"]["positive"]
    taken_for = dict(zip(data.classes, classes, strict=True))
    order = ",".join(data.classes)
    as_positive = None if data.positive is None else taken_for[data.positive]
    if None not in (as_positive, positive) and as_positive != positive:
        lines.append(f"classes=[{order}]: {data.positive} means a tumour, and is taken for {as_positive}")
    elif swapped := [name for name, other in taken_for.items() if name != other and name in classes]:
        name = swapped[0]
        lines.append(f"classes=[{order}]: {name} is a class of the run, and is taken for {taken_for[name]}")
    shown = data.dataset.sequences
    if shown and run.sequences and shown != run.sequences:
        lines.append(f"the data shows {', '.join(shown)}, and the run was trained on {', '.join(run.sequences)}")
    return lines
