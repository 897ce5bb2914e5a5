"""Score a detector before a segmenter over all folds, by rule: whom is to be believed where they disagree."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain_tumor.metrics import classification, gating, paired
from brain_tumor.report.aggregates import Groups
from brain_tumor.report.formatting import number
from brain_tumor.report.page import Block, Column, Heading, Line, Table, Text
from brain_tumor.report.pooled import Pool, pool_folds
from brain_tumor.report.runs import Run

_KEEP_FROM = (None, 0.9, 0.95, 0.98, 0.99, 0.995)  # values of `keep_from`; None for a detector alone
_WAYS: dict[str, dict[str, Any]] = {"as they are": {}, "skulls removed": {"skull": "remove"}}


def chapter(groups: Groups) -> list[Block]:
    """Show what a detector changes in a segmenter's masks, for those whose folds test the same slices."""
    lines: list[Line] = []
    for runs in (groups.runs, groups.inner):
        pools = [pool for pool in pool_folds(runs) if pool.runs]
        segmenters = [pool for pool in pools if pool.example.record["task"] == "segmentation"]
        detectors = [pool for pool in pools if _detects(pool.example)]
        pairs = ((segmenter, detector) for segmenter in segmenters for detector in detectors)
        titles = [pool.example.title for pool in pools]
        lines += [line for pair in pairs for line in _lines(*pair, titles)]
    if not lines:
        return []
    columns: dict[str, Column] = {
        "segmenter, detector": "{chain}",
        "heads": "{heads}",
        "masks": "{masks}",
        "Dice per volume": number("dice", "{:.3f}"),
        "difference to alone": _difference,
        "empty slices clean": number("clean", "{:.1%}"),
        "slices right": number("right", "{:.1%}"),
    }
    return [
        Heading("Detector before segmenter, over the folds"),
        Text(
            "Each patient is tested by a segmenter and a detector that have not seen the patient. The detector empties "
            "a slice's mask below its threshold; with `keep_from` the mask stays where the segmenter's probability is "
            "at least that. A slice is right if it has a mask just where there is a tumour. Differences are paired by "
            "patient, with 95 % intervals of a bootstrap over patients."
        ),
        Table.of("two_stage_folds", lines, columns),
    ]


def _detects(run: Run) -> bool:
    data = run.record["data"]
    return run.record["task"] == "classification" and data["positive"] is not None and len(data["classes"]) == 2


def _name(pool: Pool, titles: Sequence[str]) -> str:
    """Return a pool's title, with the id of its first run where others have the same."""
    title = pool.example.title
    return title if titles.count(title) == 1 else f"{title} ({pool.folds[0].record['id']})"


def _lines(segmenter: Pool, detector: Pool, titles: Sequence[str]) -> Iterator[Line]:
    """Yield a line for each rule, for heads as they are and, where they were evaluated so, without skulls."""
    title = f"{_name(segmenter, titles)}, {_name(detector, titles)}"
    for heads, way in _WAYS.items():
        slices = _merged(segmenter.folds, detector.folds, way)
        if slices is None:
            continue
        alone = _dice(slices, np.ones(len(slices), bool))
        yield {"chain": title, "heads": heads, "masks": "alone", **_scores(slices, np.ones(len(slices), bool))}
        chances, segmented, thresholds = (slices[name].to_numpy() for name in ("detected", "segmented", "threshold"))
        for keep_from in _KEEP_FROM:
            kept = ~gating.emptied(chances, segmented, thresholds, keep_from)
            masks = "detector" if keep_from is None else f"detector, keep_from={keep_from:g}"
            compared = paired.difference(alone, _dice(slices, kept))
            difference = {} if compared is None else compared._asdict()
            yield {"chain": title, "heads": heads, "masks": masks, **_scores(slices, kept), **difference}


def _merged(segmenters: Sequence[Run], detectors: Sequence[Run], way: dict[str, Any]) -> pd.DataFrame | None:
    """Return the slices of all folds: the segmenter's comparison, `segmented`, `detected` and `threshold`.

    Returns:
        None where a fold was not evaluated in this way, or where the two test different slices.
    """
    tables = [[run.evaluated(way) if way else run.predictions() for run in runs] for runs in (segmenters, detectors)]
    if any(table is None for side in tables for table in side):
        return None
    masks = pd.concat([table for table in tables[0] if table is not None])
    masks = masks.assign(segmented=classification.probabilities_of(masks).iloc[:, 1])
    seen = []
    for run, table in zip(detectors, tables[1], strict=True):
        assert table is not None, "looked for above"
        data = run.record["data"]
        assert data["positive"] is not None, "chosen so"
        chances = classification.probabilities_of(table).iloc[:, data["classes"].index(data["positive"])]
        seen.append(pd.DataFrame({"path": table["path"], "detected": chances}))
        seen[-1]["threshold"] = run.record["threshold"]["value"]
    merged = masks.merge(pd.concat(seen), on="path")
    return merged if len(merged) == len(masks) == sum(map(len, seen)) else None


def _dice(slices: pd.DataFrame, kept: NDArray[np.bool_]) -> "pd.Series[float]":
    """Return the Dice per volume of the patients with a tumour, of whose masks only some slices' stay."""
    counts = slices[["tp", "fp", "fn"]].copy()
    counts.loc[~kept, ["tp", "fp"]] = 0
    counts.loc[~kept, "fn"] = slices.loc[~kept, "area"]
    sums = counts.groupby(slices["case"]).sum()
    sums = sums[sums["tp"] + sums["fn"] > 0]
    return 2 * sums["tp"] / (2 * sums["tp"] + sums["fp"] + sums["fn"])


def _scores(slices: pd.DataFrame, kept: NDArray[np.bool_]) -> dict[str, float]:
    flagged, tumour = kept & (slices["predicted_area"] > 0).to_numpy(), (slices["area"] > 0).to_numpy()
    return {
        "dice": float(_dice(slices, kept).mean()),
        "clean": float((~flagged[~tumour]).mean()),
        "right": float((flagged == tumour).mean()),
    }


def _difference(line: Line) -> str:
    return f"{line['value']:+.3f} ({line['low']:+.3f} to {line['high']:+.3f})" if "low" in line else ""
