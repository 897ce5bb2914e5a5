"""Show where the errors of the most accurate classifier lie."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from brain_tumor.metrics import tumour_ends
from brain_tumor.metrics.classification import place_of
from brain_tumor.report import paired, patients_table
from brain_tumor.report.aggregates import Groups, over_seeds
from brain_tumor.report.formatting import interval
from brain_tumor.report.page import Block, Heading, Line, Picture, Table, Text
from brain_tumor.report.pooled import Pool, pool_folds

_FAR = 4  # slices from the tumour's end, from which on distances are put together


def chapter(groups: Groups) -> list[Block]:
    """Divide the slices by place, size, institution and facts of patients, and compare with the masks' verdicts."""
    pool = _best(groups.pools)
    if pool is None:
        return []
    slices = _slices(pool, groups)
    distance = tumour_ends.distance(slices)
    lines = list(_lines(slices.assign(distance=distance)))
    blocks: list[Block] = [
        Heading("Where the errors are"),
        Text(
            f"{pool.example.title}: every patient tested once, a mean over seeds. Distances are counted in slices from "
            "the nearest end of the tumour: 0 is its first or last slice, positive lies inside, negative outside. "
            "Intervals are from a bootstrap over patients; the groups were not chosen by their results."
        ),
        Table.of(
            "errors",
            lines,
            {
                "by": "{by}",
                "group": "{group}",
                "patients": "{patients}",
                "slices": "{slices:,}",
                "accuracy": lambda line: interval(line, "accuracy"),
                "of all slices": lambda line: f"{line['of slices']:.1%}",
                "of all errors": lambda line: f"{line['of errors']:.1%}",
            },
        ),
    ]
    if distance is not None:
        blocks += [Text(_tolerance(slices, distance)), _picture(lines)]
    return blocks + _agreement(slices, groups)


def _best(pools: Sequence[Pool]) -> Pool | None:
    """Return the most accurate complete pool of a task with one positive class; None for none."""
    complete = [pool for pool in pools if pool.runs and _positive(pool) is not None]
    return max(complete, key=lambda pool: pool.scores["accuracy"]["value"] or 0, default=None)


def _positive(pool: Pool) -> int | None:
    data = pool.example.record["data"]
    return place_of(data["positive"], data["classes"])


def _slices(pool: Pool, groups: Groups) -> pd.DataFrame:
    """Return the slices with `value` (right answers, averaged over seeds), and the columns by which to divide them."""
    first = next(iter(pool.tables.values()))
    values = paired.values(list(pool.tables.values()))["value"]
    slices = first[["path", "case", "slice"]].assign(
        tumour=first["label"] == _positive(pool), value=values.loc[first["path"]].to_numpy()
    )
    if (tumours := groups.tumours()) is not None:
        slices["area"] = tumours["area"].reindex(slices["path"]).to_numpy()
    if pattern := pool.example.declared.site:
        slices["institution"] = slices["case"].str.extract(pattern, expand=False).fillna(patients_table.UNKNOWN)
        slices["institution"] = slices["institution"].astype("category")
    if missing := groups.missing():
        named = {case: " and ".join(sequences) for case, sequences in missing.items()}
        order = ["none", *sorted(set(named.values()))]
        slices["sequences missing"] = pd.Categorical(slices["case"].map(named).fillna("none"), order)
    if not groups.known.groups.empty:
        facts = patients_table.of_cases(groups.known.groups, slices["case"])
        slices = slices.join(facts.drop(columns=[name for name in facts if name in slices]))
    return slices


def _lines(slices: pd.DataFrame) -> Iterator[Line]:
    known = {"path", "case", "slice", "tumour", "value", "distance", "area"}
    if slices["distance"].notna().all():
        yield from _divided("slices to the tumour's end", slices, slices["distance"].map(_place), _PLACES)
    if "area" in slices:
        tumour = slices[slices["area"] > 0]
        edges = [0.0, *np.quantile(tumour["area"], [0.1, 1 / 3, 2 / 3]), np.inf]
        names = [f"{low:.0f} to {high:.0f}" for low, high in pairwise(edges[:-1])]
        names.append(f"above {edges[-2]:.0f}")
        sizes = pd.cut(tumour["area"], edges, labels=names).astype(str)
        yield from _divided("tumour's area, pixels", tumour, sizes, names, len(slices), (1 - slices["value"]).sum())
    for name in (name for name in slices if name not in known):
        yield from _divided(str(name), slices, slices[str(name)], list(slices[str(name)].cat.categories))


def _divided(
    by: str,
    slices: pd.DataFrame,
    groups: "pd.Series[str]",
    order: Sequence[str],
    total: int | None = None,
    wrong: float | None = None,
) -> Iterator[Line]:
    """Yield a line per group: its accuracy with limits, and its shares of all slices and of all errors.

    Args:
        by: what the slices are divided by.
        slices: the slices.
        groups: each slice's group.
        order: the groups to show.
        total: the number of all slices, where these are a part of them.
        wrong: the number of all errors, likewise.
    """
    total = total or len(slices)
    wrong = (1 - slices["value"]).sum() if wrong is None else wrong
    for group in order:
        members = slices[groups == group]
        if len(members):
            found = over_seeds([float(members["value"].mean())], [members])
            yield {
                **{"by": by, "group": group, "patients": members["case"].nunique(), "slices": len(members)},
                **{"accuracy": found.value, "accuracy low": found.low, "accuracy high": found.high},
                "of slices": len(members) / total,
                "of errors": float((1 - members["value"]).sum() / wrong) if wrong else np.nan,
            }


_PLACES = [
    f"-{_FAR} or more", *(str(place) for place in range(1 - _FAR, _FAR)), f"{_FAR} or more", "no tumour in the patient",
]  # fmt: skip


def _place(distance: int) -> str:
    if distance == tumour_ends.NOWHERE:
        return _PLACES[-1]
    if abs(distance) < _FAR:
        return str(distance)
    return _PLACES[0] if distance < 0 else _PLACES[-2]


def _tolerance(slices: pd.DataFrame, distance: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> str:
    """Say what accuracy would be with one slice of tolerance, and what uncertain ends allow at most."""
    end = (distance == 0) | (distance == -1)
    tolerant = slices["value"].where(~end, 1.0).mean()
    ends = 2 * int(slices[slices["tumour"]]["case"].nunique())
    return (
        f"Accuracy is {slices['value'].mean():.1%}. If errors on a tumour's first and last slices and on their outer "
        f"neighbours did not count, it would be {tolerant:.1%}. What the labels allow at most is not known, since one "
        f"reader drew them: had another put every second end one slice further in or out, a perfect model of the one "
        f"would score {1 - ends / 2 / len(slices):.1%} by the other."
    )


def _picture(lines: Sequence[Line]) -> Picture:
    shown = [line for line in lines if line["by"] == "slices to the tumour's end" and line["group"] in _PLACES[:-1]]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.add_subplot()
    accuracy = np.array([line["accuracy"] for line in shown])
    limits = np.array([[line["accuracy low"], line["accuracy high"]] for line in shown])
    spread = np.abs(np.clip(limits.T, 0, 1) - accuracy)
    axes.errorbar(range(len(shown)), accuracy, spread, fmt="o-", capsize=3, color="#1f77b4")
    axes.set_xticks(range(len(shown)), [line["group"] for line in shown])
    axes.axvline(_PLACES.index("-1") + 0.5, color="#555555", linestyle=":", linewidth=0.9)
    axes.set(xlabel="slices to the nearest end of the tumour (right of the line: with a tumour)", ylabel="accuracy")
    return Picture.of("errors", "Accuracy against the distance to the tumour's end, with 95 % intervals.", figure)


def _agreement(slices: pd.DataFrame, groups: Groups) -> list[Block]:
    """Compare the classifier's answers with those of a segmenter on the same slices."""
    pools = [pool for pool in pool_folds(groups.segmenters) if pool.runs and _positive(pool) is not None]
    if not pools:
        return []
    masks = next(iter(pools[0].tables.values())).set_index("path").loc[slices["path"]]
    marked = masks["predicted_area"].to_numpy() > 0
    by_mask = marked == slices["tumour"].to_numpy()
    right = slices["value"].to_numpy() > 1 / 2
    cells = {
        "both": right & by_mask,
        "the classifier alone": right & ~by_mask,
        "the masks alone": ~right & by_mask,
        "neither": ~right & ~by_mask,
    }
    lines = [{"right": name, "slices": int(cell.sum()), "share": float(cell.mean())} for name, cell in cells.items()]
    text = (
        f"Two networks on the same slices: this classifier, and {pools[0].example.title}, whose verdict on a slice is "
        "whether its mask is empty."
    )
    columns = {"right": "{right}", "slices": "{slices:,}", "share": "{share:.1%}"}
    return [Text(text), Table.of("errors_agreement", lines, columns)]
