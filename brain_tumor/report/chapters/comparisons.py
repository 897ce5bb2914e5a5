"""Check the paper's comparisons of its rows with our runs."""

import pandas as pd

from brain_tumor.report import paired, paper
from brain_tumor.report.aggregates import SPLITS, Cell, Estimate, Groups
from brain_tumor.report.formatting import points
from brain_tumor.report.page import Block, Heading, Line, Table, Text
from brain_tumor.report.runs import Run


def chapter(groups: Groups) -> list[Block]:
    """Show every comparison by slice and by patient."""
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
            "Each claim is the paper's, or follows from its table. Means over seeds are compared on the same "
            "slices. A claim holds, or does not hold, where the 95 % interval of the difference excludes 0. The "
            "interval is from a bootstrap over patients; it does not include how much other seeds would change."
        ),
        Table("comparisons", pd.DataFrame(shown), pd.DataFrame(numbers)),
    ]


def _answer(better: Cell, worse: Cell) -> Line:
    """Compare two rows: `difference` of accuracy with `low` and `high`, numbers of seeds `n` and `n worse`, `verdict`.

    The difference is that of the means over seeds on the same slices, its interval from a bootstrap over patients.
    """
    common = {run.tested_on for run in better.runs} & {run.tested_on for run in worse.runs}
    first, second = ([run for run in cell.runs if run.tested_on in common] for cell in (better, worse))
    estimate = Estimate()
    if common:
        values = [paired.values([run.predictions() for run in runs]) for runs in (first, second)]
        estimate = paired.difference(values[0], values[1])
    verdict = "holds" if estimate.low > 0 else "does not hold" if estimate.high < 0 else "cannot tell"
    reason = _why_undecided([*first, *second])
    return {
        "difference": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": len(first),
        "n worse": len(second),
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
    seeds = f"{answer['n']} and {answer['n worse']} seeds"
    return f"{answer['verdict']}: {difference}, {seeds}" if answer["n"] else "not run"
