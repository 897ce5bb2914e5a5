"""What a run is called: a hash of its configuration, so that one configuration is one run.

Importing this module is cheap, since Hydra names a run's folder before a command begins.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from brain_tumor.runs import class_names

# Keys that change no number: with other values it is the same run.
_IMMATERIAL = {
    "output_dir", "cache_dir", "experiment", "resume", "name", "cache_features", "allow_overlap", "data.cache_dir",
    "data.resident", "data.eval_batch_size", "trainer.enable_progress_bar", "objective", "logger",
}  # fmt: skip
# Keys that were added later, each with the value that means what older versions did: with it, a run keeps its id.
NEUTRAL: dict[str, Any] = {
    "data.target": None, "data.positive": None,
    "data.folds": None, "data.fold": None, "data.test_cases": None, "data.empty": None,
    "data.inner_folds": None, "data.inner_fold": None,
    "data.site": None, "data.site_by": None, "data.gap": None, "data.train_patients": None, "data.draw_seed": 0,
    "data.target_seed": 0, "transforms.grey": False,
    "data.min_patients": 10, "data.crop": "none", "data.crop_margin": 0.2, "data.masks": None,
    "find_lr": False, "trainer.patience": None,
    "schedule": "constant", "average_weights": None, "model.trained": None, "transforms.missing": 0,
    "data.intensities": "file", "data.skull": "keep", "data.neighbours": 0, "data.neighbour_mm": 5,
    "model.neighbours": 0, "model.mirror": False, "model.components": 0, "transforms.strip": 0, "transforms.elastic": 0,
    "transforms.gamma": 0, "transforms.contrast": 0, "transforms.brightness": 0,
}  # fmt: skip


def run_id(config: Mapping[str, Any]) -> str:
    """Name a run by its resolved configuration: 8 hexadecimal digits."""
    return hashlib.sha256(json.dumps(settings_of(config), sort_keys=True, default=str).encode()).hexdigest()[:8]


def settings_of(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the settings that identify a run.

    Args:
        values: the configuration, or a group of it.
        prefix: of the group's keys, such as "data.".
    """
    material: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if key in _IMMATERIAL or (key in NEUTRAL and NEUTRAL[key] == value):
            continue
        if key == "data._target_":
            value = class_names.identifying(str(value))
        material[name] = settings_of(value, f"{key}.") if isinstance(value, Mapping) else value
    return material
