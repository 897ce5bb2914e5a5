"""What the paper says of its rows, answered from ours."""

import pandas as pd

from brain_tumor.report import paper
from brain_tumor.report.cells import SPLITS, Cell, Estimate, Groups, over_seeds
from brain_tumor.report.page import Block, Heading, Table, Text
from brain_tumor.report.runs import Run
from brain_tumor.report.wording import points


def chapter(groups: Groups) -> list[Block]:
    """Show every comparison by slice and by patient."""
    table = numbers(groups)
    lines = []
    for claim, answers in table.groupby("claim", sort=False):
        first = answers.iloc[0]
        line = {
            "claim": claim,
            "experiments": f"{first['better']} against {first['worse']}",
            "in the paper": f"{100 * first['paper']:+.0f} points",
        }
        for _, answer in answers.iterrows():
            difference = points(*answer[["difference", "low", "high"]])
            said = f"{answer['verdict']}: {difference}, n={answer['n']}" if answer["n"] else "not run"
            line[f"by {answer['split']}"] = said
        lines.append(line)
    return [
        Heading(f"The paper's comparisons, {groups.optimizers[0]}"),
        Text(
            "Each claim is the paper's, or follows from its table; runs of equal seed are compared. It holds, or does "
            "not hold, where the 95 % interval of the difference leaves out 0: a bootstrap over patients of the mean "
            "over seeds (n), which leaves out what other seeds would change."
        ),
        Table("comparisons", pd.DataFrame(lines), table),
    ]


def numbers(groups: Groups) -> pd.DataFrame:
    """Answer the paper's comparisons from runs paired by seed, trained with its optimizer.

    Columns: `claim`, `better`, `worse` (rows), `paper` (the difference of accuracy in its table), `split`,
    `difference`, `low`, `high`, `n` (pairs) and `verdict`: "holds" or "does not hold" where the interval leaves out 0,
    "cannot tell" where it does not, or where weights are partial or unlike or settings are not the rows', "not run"
    where there is no pair. The interval is a bootstrap over patients of the mean over seeds: it leaves out what other
    seeds would change.
    """
    table, lines = paper.table()["test_accuracy"], []
    for text, *rows in paper.COMPARISONS:
        for split in SPLITS:
            pairs = _pairs(*(groups.cell(row, groups.optimizers[0], split) for row in rows))
            estimate = _difference(pairs)
            values = dict(zip(("difference", "low", "high", "n"), estimate, strict=False))
            verdict = _verdict(estimate, [run for pair in pairs for run in pair])
            line = {"claim": text, "better": rows[0], "worse": rows[1], "paper": table[rows[0]] - table[rows[1]]}
            lines.append({**line, "split": split, **values, "verdict": verdict})
    return pd.DataFrame(lines)


def _pairs(better: Cell, worse: Cell) -> list[tuple[Run, Run]]:
    """Pair the runs of equal seed that were tested on the same slices."""
    others = {(run.seed, run.tested_on): run for run in worse.runs}
    keys = [(run, (run.seed, run.tested_on)) for run in better.runs]
    return [(run, others[key]) for run, key in keys if key in others]


def _difference(pairs: list[tuple[Run, Run]]) -> Estimate:
    """Average over seeds how much more accurate the first run of each pair is; limits are of their common slices."""
    tables = []
    for first, second in pairs:
        both = first.answers().merge(second.answers()[["path", "right"]], on="path", suffixes=("", " second"))
        tables.append(both.assign(value=both["right"].astype(float) - both["right second"].astype(float)))
    return over_seeds([first.accuracy - second.accuracy for first, second in pairs], tables)


def _verdict(estimate: Estimate, runs: list[Run]) -> str:
    if not runs:
        return "not run"
    if any(run.record["weights"]["missing"] for run in runs):
        return "cannot tell, partial weights"
    if len({run.weights for run in runs}) > 1:
        return "cannot tell, unlike weights"
    if any(paper.deviations(run.record, run.row) for run in runs if run.row):
        return "cannot tell, other settings than the rows'"
    return "holds" if estimate.low > 0 else "does not hold" if estimate.high < 0 else "cannot tell"
