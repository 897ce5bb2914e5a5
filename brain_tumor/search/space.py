"""Read what a search varies and what it sets, written as on Hydra's command line."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, Transformer
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)


class Space(NamedTuple):
    """What a search varies and what it sets.

    Attributes:
        varied: distributions by key.
        fixed: overrides by key, as on the command line: "data.size=64".
    """

    varied: dict[str, BaseDistribution]
    fixed: dict[str, str]

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """Return all overrides of a trial with these values of what is varied."""
        return [*self.fixed.values(), *(f"{key}={_written(value)}" for key, value in values.items())]

    def described(self) -> dict[str, str]:
        """Return the distributions as texts, by key."""
        return {key: distribution_to_json(distribution) for key, distribution in sorted(self.varied.items())}


def read(overrides: Sequence[str]) -> Space:
    """Read overrides; a later one replaces an earlier one of the same key.

    `interval(a,b)`, `tag(log,interval(a,b))`, `range(a,b)` and `choice(a,b,c)`, or `a,b,c`, are varied.

    Raises:
        ValueError: an override is varied in a way that Optuna cannot; the message names it.
        HydraException: an override is not understood.
    """
    space = Space({}, {})
    for text, override in zip(overrides, OverridesParser.create().parse_overrides(list(overrides)), strict=True):
        key = override.get_key_element()
        for known in (space.varied, space.fixed):
            known.pop(key, None)
        if override.is_sweep_override():
            space.varied[key] = _distribution(override)
        else:
            space.fixed[key] = text
    return space


def holds(distribution: BaseDistribution, value: object) -> bool:
    """Return whether a distribution may give a value."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return isinstance(value, int | float) and distribution.low <= value <= distribution.high


def _distribution(override: Override) -> BaseDistribution:
    value = override.value()
    if isinstance(value, IntervalSweep):
        low, high, log = value.start, value.end, "log" in value.tags
        assert low is not None
        assert high is not None
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=log)
        return FloatDistribution(low, high, log=log)
    if isinstance(value, ChoiceSweep | RangeSweep):
        choices: list[Any] = list(override.sweep_iterator(transformer=Transformer.encode))
        return CategoricalDistribution(choices)
    raise ValueError(f"{override.input_line}: cannot be searched; write an interval, a range or choices")


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
