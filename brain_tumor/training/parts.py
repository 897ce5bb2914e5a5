"""Make the data and the model of a training from its configuration."""

from typing import Any

from brain_tumor.config import typed
from brain_tumor.data import description, opening
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.models.task import Task


def open_data(config: dict[str, Any]) -> SliceDataModule:
    """Build the data module with its transforms; nothing is read yet."""
    return opening.open_data(config, typed.make(config, "transforms"), config["seed"])


def make_data(config: dict[str, Any]) -> SliceDataModule:
    """Build the data module with its transforms, and set it up."""
    data = open_data(config)
    data.prepare_data()
    data.setup()
    return data


def make_model(config: dict[str, Any], data: SliceDataModule) -> Task:
    """Build the model with its optimizer and first weights, and make the data serve masks if the model needs them.

    Args:
        config: resolved.
        data: set up.

    Raises:
        ValueError: the data lacks what the model needs, or the weights' run was trained on tested patients.
    """
    model_class = typed.named("model", config["model"])
    model: Task = typed.make(
        config,
        "model",
        optimizer=typed.make(config, "optimizer"),
        num_classes=data.num_classes,
        **description.of_model(model_class, data.channels, data.regions.plain(), data.size),
        monitored=data.monitored,
        seed=config["seed"],
        schedule=config["schedule"],
    )
    seen = model.hparams.get("neighbours", 0)
    if seen != data.inputs.neighbours:
        raise ValueError(f"data.neighbours={data.inputs.neighbours}: this model sees {seen}; give it model.neighbours")
    if model.uses_masks:
        data.serve_masks()
    else:
        data.require_classes()
    model.weights.refuse_leakage(data.table.iloc[data.rows["test"]], allow=config["allow_overlap"])
    return model
