"""Show how well each class of a target of patients is told from the rest."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from brain_tumor.metrics import adjusted, patients
from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.report.formatting import flat, intervals, number
from brain_tumor.report.page import Block, Heading, Table, Text
from brain_tumor.report.patients_table import NOTHING, Known
from brain_tumor.report.pooled import Pool
from brain_tumor.report.type_runs import input_of, predictions_of, task_of
from brain_tumor.runs import summary


def contrasts(pools: Sequence[Pool], known: Known = NOTHING) -> list[Block]:
    """Show every class of a target of patients against the rest, with p values corrected for their number.

    Args:
        pools: of any runs on tumour types.
        known: what is known of patients without a network.
    """
    targets = [pool for pool in pools if pool.example.record["data"].get("target") and len(pool.folds) > 1]
    lines = [line for pool in targets for line in _against_the_rest(pool, known)]
    for p in ("p", "adjusted p"):
        tested = [line for line in lines if line[p] is not None]
        for line, corrected in zip(tested, patients.holm([line[p] for line in tested]), strict=True):
            line[f"{p}, Holm"] = corrected
    if not lines:
        return []
    names = list(dict.fromkeys(name for line in lines for name in line.pop("adjusted for")))
    columns = {name: f"{{{name}}}" for name in ("target", "class", "model", "patients", "of")}
    covering = sum(line["AUROC low"] <= 0.5 for line in lines)
    return [
        Heading("Targets by patient"),
        Text(
            f"{len(lines)} contrasts, each of a class against the rest; the codes are those of data.csv, which has no "
            f"legend. The intervals of {covering} of them include .5, which is chance. p is one-sided, from "
            "permutations of the patients' labels within folds; Holm's correction is for all contrasts of this table."
            + f" The adjusted p asks what the network adds to {', '.join(names)}."
            * bool(names)
        ),
        Table.of(
            "types_contrasts",
            lines,
            {
                **columns,
                "input": "{shown}",
                **intervals({"AUROC": "AUROC"}, "{:.3f}"),
                "p": number("p", "{:.4f}"),
                "p, Holm": number("p, Holm", "{:.3f}"),
                **({title: number(title, "{:.3f}") for title in ("adjusted p", "adjusted p, Holm")} if names else {}),
            },
        ),
    ]


def _against_the_rest(pool: Pool, known: Known) -> Iterator[dict[str, Any]]:
    """Yield the area of each class against the rest, by patient, and its p; for two classes, of the second one only."""
    classes, (table, probabilities) = pool.example.record["data"]["classes"], predictions_of(pool)
    scores = patients.score(table, probabilities, classes)
    areas, p_values = patients.permutation(table, probabilities)
    labels = table.drop_duplicates("case")["label"]
    grouped = patients.group(table, probabilities)
    facts = known.of(grouped.table["case"], pool.example.declared.site)
    for place in [1] if len(classes) == 2 else range(len(classes)):
        limits = scores[f"patient_auroc({classes[place]})"]
        yield {
            **{"target": task_of(pool.example), "class": classes[place], "shown": input_of(pool.example)},
            "model": summary.model_title(pool.example.record),
            **{"patients": int((labels == place).sum()), "of": len(labels)},
            **flat({"AUROC": Interval(value=areas[place], low=limits["low"], high=limits["high"])}),
            "p": p_values[place],
            "adjusted p": _adjusted(grouped, place, facts),
            "adjusted for": list(facts),
        }


def _adjusted(grouped: patients.PatientMeans, place: int, facts: pd.DataFrame) -> float | None:
    """Return the p of a class's probability beside facts, over the patients with all of them; None without facts."""
    if facts.empty:
        return None
    complete = facts.notna().all(axis=1).to_numpy()
    table = grouped.table[complete]
    scores = grouped.probabilities[:, place].numpy()[complete]
    columns = pd.get_dummies(facts[complete], drop_first=True, dtype=float)
    return adjusted.permutation_p(scores, (table["label"] == place).to_numpy(), table["fold"].to_numpy(), columns)
