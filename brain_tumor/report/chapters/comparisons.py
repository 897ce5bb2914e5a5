"""Check the paper's comparisons of its rows with our runs."""

import pandas as pd

from brain_tumor.report import paper
from brain_tumor.report.aggregates import SPLITS, Cell, Groups, over_seeds
from brain_tumor.report.formatting import points
from brain_tumor.report.page import Block, Heading, Line, Table, Text
from brain_tumor.report.runs import Run


def chapter(groups: Groups) -> list[Block]:
    """Show every comparison by slice and by patient, from runs paired by seed."""
    main, accuracy = groups.optimizers[0], paper.table()["test_accuracy"]
    numbers, shown = [], []
    for text, better, worse in paper.COMPARISONS:
        answers = {
            split: _answer(groups.cell(better, main, split), groups.cell(worse, main, split)) for split in SPLITS
        }
        known = {"claim": text, "better": better, "worse": worse, "paper": accuracy[better] - accuracy[worse]}
        numbers += [{**known, "split": split, **answer} for split, answer in answers.items()]
        shown.append(
            {
                "claim": text,
                "experiments": f"{better} against {worse}",
                "in the paper": f"{100 * known['paper']:+.0f} points",
                **{f"by {split}": _verdict(answer) for split, answer in answers.items()},
            }
        )
    return [
        Heading(f"The paper's comparisons, {main}"),
        Text(
            "Each claim is the paper's, or follows from its table. Runs with the same seed are compared. A claim "
            "holds, or does not hold, where the 95 % interval of the difference excludes 0. The interval is that of "
            "the mean over seeds (n), from a bootstrap over patients; it does not include how much other seeds would "
            "change."
        ),
        Table("comparisons", pd.DataFrame(shown), pd.DataFrame(numbers)),
    ]


def _answer(better: Cell, worse: Cell) -> Line:
    """Compare two rows: `difference` of accuracy with `low` and `high`, `n` pairs of runs, and `verdict`.

    The interval is that of the mean over seeds on the common slices, from a bootstrap over patients.
    """
    others = {(run.seed, run.tested_on): run for run in worse.runs}
    pairs = [(run, others[key]) for run in better.runs if (key := (run.seed, run.tested_on)) in others]
    tables = []
    for first, second in pairs:
        both = first.answers().merge(second.answers()[["path", "right"]], on="path", suffixes=("", " second"))
        tables.append(both.assign(value=both["right"].astype(float) - both["right second"].astype(float)))
    estimate = over_seeds([first.accuracy - second.accuracy for first, second in pairs], tables)
    verdict = "holds" if estimate.low > 0 else "does not hold" if estimate.high < 0 else "cannot tell"
    reason = _why_undecided([run for pair in pairs for run in pair])
    return {
        "difference": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "verdict": reason or verdict,
    }


def _why_undecided(runs: list[Run]) -> str:
    """Return why runs cannot decide a claim, whatever their difference; "" where they can."""
    if not runs:
        return "not run"
    if any(run.record["weights"]["missing"] for run in runs):
        return "cannot tell, partial weights"
    if len({run.weights for run in runs}) > 1:
        return "cannot tell, unlike weights"
    different = any(paper.deviations(run.record, run.row) for run in runs if run.row)
    return "cannot tell, other settings than the rows'" if different else ""


def _verdict(answer: Line) -> str:
    difference = points(answer["difference"], answer["low"], answer["high"])
    return f"{answer['verdict']}: {difference}, n={answer['n']}" if answer["n"] else "not run"
