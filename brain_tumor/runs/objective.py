"""What a run returns to a search of settings: its score on the validation part."""

from brain_tumor.runs.record import Record

NO_VALIDATION = (
    "a search needs a validation part: give data.val_fraction=0.2. The test part's score must not be optimized: it "
    "would no longer say how good the model is on new patients"
)


def of(record: Record, curve: str) -> float | None:
    """Return a curve's value on the validation part, at the epoch that the test scored.

    Args:
        record: of a finished run.
        curve: the setting `objective`: "loss", "accuracy", "dice".

    Returns:
        The value, NaN after a diverged training; None without a validation part.

    Raises:
        ValueError: there is no such curve.
    """
    epoch = next(epoch for epoch in record["history"] if epoch["epoch"] == record["test"]["epoch"])
    if "val" not in epoch:
        return None
    if curve not in epoch["val"]:
        raise ValueError(f"objective={curve}: choose one of {', '.join(epoch['val'])}")
    value = epoch["val"][curve]
    return float("nan") if value is None else float(value)
