"""Show how well each class of a target of patients is told from the rest."""

from collections.abc import Iterator, Sequence
from typing import Any

from brain_tumor.metrics import patients
from brain_tumor.metrics.bootstrap import Interval
from brain_tumor.report.formatting import flat, intervals, number
from brain_tumor.report.page import Block, Heading, Table, Text
from brain_tumor.report.pooled import Pool
from brain_tumor.report.type_runs import input_of, predictions_of, task_of
from brain_tumor.runs import summary


def contrasts(pools: Sequence[Pool]) -> list[Block]:
    """Show every class of a target of patients against the rest, with p values corrected for their number."""
    targets = [pool for pool in pools if pool.example.record["data"].get("target") and len(pool.folds) > 1]
    lines = [line for pool in targets for line in _against_the_rest(pool)]
    for line, corrected in zip(lines, patients.holm([line["p"] for line in lines]), strict=True):
        line["p, Holm"] = corrected
    if not lines:
        return []
    columns = {name: f"{{{name}}}" for name in ("target", "class", "model", "patients", "of")}
    covering = sum(line["AUROC low"] <= 0.5 for line in lines)
    return [
        Heading("Targets by patient"),
        Text(
            f"{len(lines)} contrasts, each of a class against the rest; the codes are those of data.csv, which has no "
            f"legend. The intervals of {covering} of them include .5, which is chance. p is one-sided, from "
            "permutations of the patients' labels within folds; Holm's correction is for all contrasts of this table."
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
            },
        ),
    ]


def _against_the_rest(pool: Pool) -> Iterator[dict[str, Any]]:
    """Yield the area of each class against the rest, by patient, and its p; for two classes, of the second one only."""
    classes, (table, probabilities) = pool.example.record["data"]["classes"], predictions_of(pool)
    scores = patients.score(table, probabilities, classes)
    areas, p_values = patients.permutation(table, probabilities)
    labels = table.drop_duplicates("case")["label"]
    for place in [1] if len(classes) == 2 else range(len(classes)):
        limits = scores[f"patient_auroc({classes[place]})"]
        yield {
            **{"target": task_of(pool.example), "class": classes[place], "shown": input_of(pool.example)},
            "model": summary.model_title(pool.example.record),
            **{"patients": int((labels == place).sum()), "of": len(labels)},
            **flat({"AUROC": Interval(value=areas[place], low=limits["low"], high=limits["high"])}),
            "p": p_values[place],
        }
