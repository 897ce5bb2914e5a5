"""Compose the report: which tables and figures, in which order, and what they mean."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from brain_tumor.results import analysis, figures, paper
from brain_tumor.results.page import Block, Heading, Picture, Table, Text, table_markdown
from brain_tumor.results.runs import Collection, Run
from brain_tumor.results.tables import BASELINE_TITLES

_DRAWN = 5  # runs a panel of ROC and reliability curves


def compose(found: Collection, pictures: bool = True) -> list[Block]:
    """Turn run folders' contents into a report.

    Args:
        found: what lies in the folders.
        pictures: also show slices of the data.

    Raises:
        ValueError: no finished run is on the data of two classes with the paper's settings, or with any.
    """
    runs = analysis.one_data_set(found.runs)
    blocks = _state(found, runs)
    if not runs:
        return blocks
    optimizers = _optimizer_names(runs)
    main = optimizers[0]
    blocks += _grid(runs, main)
    for optimizer in optimizers[1:]:
        blocks += _grid(runs, optimizer)
    blocks += _best(runs, main) + _curves(runs, optimizers) + _comparisons(runs, main)
    blocks += _optimizers(runs, optimizers) + _leakage(runs, main) + _closer(runs, pictures)
    return blocks + _costs(runs)


def short(runs: Sequence[Run]) -> str:
    """Put the rows that were run beside the paper's in a small Markdown table, for a README."""
    lines = []
    for optimizer in _optimizer_names(runs):
        grid = analysis.grid(runs, optimizer)
        for number, line in grid[grid["slice n"] + grid["patient n"] > 0].iterrows():
            lines.append(
                {
                    "experiment": number,
                    "model": f"{line['model']}, {line['strategy']}, {line['transforms']}",
                    "optimizer": optimizer,
                    "the paper": f"{line['paper accuracy']:.0%}",
                    "by slice": _estimate(line, "slice"),
                    "by patient": _estimate(line, "patient"),
                    "weights": line["slice note"] or line["patient note"],
                }
            )
    below = [
        {
            "model": BASELINE_TITLES[str(name)],
            "by slice": _percent(line["slice"], "–"),
            "by patient": _percent(line["patient"], "–"),
        }
        for name, line in analysis.baselines(runs).iterrows()
    ]
    return table_markdown(pd.DataFrame([*lines, *below]).fillna(""))


def _optimizer_names(runs: Sequence[Run]) -> list[str]:
    """Name the optimizers that runs used, the paper's first."""
    return sorted({run.optimizer for run in runs}, key=lambda name: (name != "SGD", name))


def _state(found: Collection, runs: Sequence[Run]) -> list[Block]:
    count = f"{len(runs)} finished runs" if len(runs) != 1 else "1 finished run"
    blocks: list[Block] = [
        Text(
            "Research software, not a medical device: nothing on this page may guide the care of a person.",
            warning=True,
        )
    ]
    if runs:
        data = runs[0].record["data"]
        blocks.append(
            Text(
                f"{count} on {data['slices']:,} slices of {data['patients']} patients (content {data['key']}). "
                "Every accuracy is of the test part after the last epoch, or after the best one on a validation part "
                "where there was one. Intervals are 95 %: Student's t over seeds where there are several (n), a "
                "bootstrap over patients where there is one."
            )
        )
    else:
        blocks.append(Text("No finished run yet."))
    if others := len(found.runs) - len(runs):
        blocks.append(Text(f"Left out: {others} finished runs on other data.", warning=True))
    if found.failed or found.unfinished:
        lines = [{"run": path.name, "state": f"failed: {line}"} for path, line in found.failed]
        lines += [{"run": path.name, "state": "cut off, or under way"} for path in found.unfinished]
        table = pd.DataFrame(lines)
        blocks += [
            Heading("Not finished"),
            Text("The same command goes on with these. A failed run's folder holds its traceback.txt."),
            Table("not_finished", table, table),
        ]
    return blocks


def _grid(runs: Sequence[Run], optimizer: str) -> list[Block]:
    grid, baselines = analysis.grid(runs, optimizer), analysis.baselines(runs)
    shown = pd.DataFrame(
        {
            "experiment": grid.index,
            "model": grid["model"] + ", " + grid["strategy"],
            "batch, epochs, lr": [
                f"{a:.0f}, {b:.0f}, {c:g}" for a, b, c in grid[["batch_size", "epochs", "lr"]].to_numpy()
            ],
            "transforms": grid["transforms"],
            "paper: train loss, test loss": _pairs(grid, "paper"),
            "paper: accuracy": grid["paper accuracy"].map("{:.0%}".format),
            "by slice: train loss, test loss": _pairs(grid, "slice"),
            "by slice: accuracy": [_estimate(line, "slice") for _, line in grid.iterrows()],
            "by patient: train loss, test loss": _pairs(grid, "patient"),
            "by patient: accuracy": [_estimate(line, "patient") for _, line in grid.iterrows()],
            "notes": [_joined(a, b) for a, b in grid[["slice note", "patient note"]].to_numpy()],
        }
    )
    below = [
        {
            **dict.fromkeys(shown.columns, ""),
            "model": BASELINE_TITLES[str(name)],
            "by slice: accuracy": _percent(line["slice"], "–"),
            "by patient: accuracy": _percent(line["patient"], "–"),
        }
        for name, line in baselines.iterrows()
    ]
    return [
        Heading(f"Table 1, {optimizer}"),
        Text(
            "The paper's 20 experiments beside ours. By slice is the paper's split: slices at random, so that "
            "neighbours of a test slice are in training. By patient keeps patients apart. The last lines are "
            "classifiers that see no pixel; a model that does not beat them has shown nothing."
        ),
        Table(f"table1_{optimizer.lower()}", pd.concat([shown, pd.DataFrame(below)]), grid),
        Picture.of(
            f"accuracy_{optimizer.lower()}",
            "Test accuracy of every experiment: the paper's as bars, ours as points; lines are baselines.",
            figures.overview(grid, baselines),
        ),
    ]


def _best(runs: Sequence[Run], optimizer: str) -> list[Block]:
    grid = analysis.grid(runs, optimizer)
    lines = []
    for model in ("resnet18", "resnet50"):
        own = grid[grid["model"] == model]
        best = own.index[int(own["slice accuracy"].argmax())] if own["slice accuracy"].notna().any() else None
        lines.append(
            {
                "model": model,
                "the paper's best": f"experiment {own['paper accuracy'].idxmax()}: {own['paper accuracy'].max():.0%}",
                "ours by slice": "not run" if best is None else f"experiment {best}: {own['slice accuracy'].max():.1%}",
                "the same by patient": "not run" if best is None else _percent(own.loc[best, "patient accuracy"]),
            }
        )
    table = pd.DataFrame(lines)
    return [
        Heading("Table 2, best results"),
        Text(
            "Ours is the best of the rows that were run, chosen on the test part as the paper's is, and so optimistic."
        ),
        Table("table2", table, table),
    ]


def _curves(runs: Sequence[Run], optimizers: Sequence[str]) -> list[Block]:
    blocks: list[Block] = [Heading("Loss and accuracy over epochs")]
    wanted = {19, 20} | {run.row for run in runs if run.row and run.record["config"]["model"]["strategy"] == "finetune"}
    for row in sorted(wanted):
        for optimizer in optimizers:
            chosen = {split: analysis.of_row(runs, row, optimizer, split) for split in analysis.SPLITS}
            if any(chosen.values()):
                title = f"Experiment {row}, {optimizer}"
                caption = f"{title}: mean over seeds, the band from the lowest to the highest seed."
                blocks.append(
                    Picture.of(f"curves_{row}_{optimizer.lower()}", caption, figures.curves(title, chosen, row))
                )
            elif row in (19, 20):
                blocks.append(Text(f"Experiment {row}, {optimizer}: not run."))
    return blocks


def _comparisons(runs: Sequence[Run], optimizer: str) -> list[Block]:
    table = analysis.comparisons(runs, optimizer)
    lines = []
    for claim, answers in table.groupby("claim", sort=False):
        first = answers.iloc[0]
        line = {
            "claim": claim,
            "experiments": f"{first['better']} against {first['worse']}",
            "in the paper": f"{100 * first['paper']:+.0f} points",
        }
        for _, answer in answers.iterrows():
            found = _points(*answer[["difference", "low", "high"]])
            said = f"{answer['verdict']}: {found}, n={answer['n']}" if answer["n"] else "not run"
            line[f"by {answer['split']}"] = said
        lines.append(line)
    shown = pd.DataFrame(lines)
    return [
        Heading("The paper's comparisons"),
        Text(
            "Each claim is the paper's, or follows from its table; runs of equal seed are compared. It holds, or does "
            "not hold, where the 95 % interval of the difference leaves out 0. With one pair, the interval is a "
            "bootstrap over patients and leaves out what another seed would change."
        ),
        Table("comparisons", shown, table),
    ]


def _optimizers(runs: Sequence[Run], names: Sequence[str]) -> list[Block]:
    table = analysis.optimizers(runs)
    shown = pd.DataFrame({"experiment": table.index, "the paper": table["paper"].map("{:.0%}".format)})
    for name in names:
        if name in table:
            shown[name] = [_percent(value) for value in table[name]]
            shown[f"{name} after one epoch: train loss, test accuracy"] = [
                "" if math.isnan(loss) else f"{loss:.2f}, {_percent(accuracy)}"
                for loss, accuracy in table[[f"{name} first train loss", f"{name} first test accuracy"]].to_numpy()
            ]
    first = paper.FIRST_EPOCH
    published = f"train loss {first['train loss']} and test accuracy {first['test accuracy']}"
    return [
        Heading("SGD or Adam"),
        Text(
            "The paper's table says SGD with momentum 0.5; its listing (section VII) trains with Adam. By slice, both "
            "beside the paper's accuracy. " + _collapsed(table, [name for name in names if name in table])
        ),
        Text(
            f"The authors' published curve of the 30-epoch run stands at {published} after its first epoch. "
            + _first_epochs(table, [name for name in names if name in table])
        ),
        Table("optimizers", shown, table),
    ]


def _collapsed(table: pd.DataFrame, names: Sequence[str]) -> str:
    """Say what each optimizer scores in the rows where the paper has no more than the majority."""
    rows = table[table["paper"] <= 0.65]
    said = []
    for name in names:
        scored = ", ".join(f"experiment {row} {_percent(value)}" for row, value in rows[name].dropna().items())
        said.append(f"{name}: {scored or 'not run'}")
    return f"The rows that the paper has at 65 %, which is always answering no tumour: {'; '.join(said)}."


def _first_epochs(table: pd.DataFrame, names: Sequence[str]) -> str:
    said = []
    for name in names:
        for row in (19, 20):
            loss, accuracy = (float(table[f"{name} first {what}"][row]) for what in ("train loss", "test accuracy"))
            values = "not run" if math.isnan(loss) else f"train loss {loss:.2f}, test accuracy {_percent(accuracy)}"
            said.append(f"{name}, experiment {row}: {values}")
    return "; ".join(said) + "."


def _leakage(runs: Sequence[Run], optimizer: str) -> list[Block]:
    table = analysis.leakage(runs, optimizer)
    shown = pd.DataFrame(
        {
            "experiment": table.index,
            "by slice": table["slice"].map(_percent),
            "by patient": table["patient"].map(_percent),
            "difference": [_points(value) for value in table["difference"]],
            "test slices with a neighbour in training": _counted(table, "neighbour"),
            "without": _counted(table, "no neighbour"),
        }
    )
    return [
        Heading("Leakage"),
        Text(
            "What the split by slice adds to accuracy, and where: test slices whose neighbour, the slice above or "
            "below of the same patient, was in training, against those without."
        ),
        Table("leakage", shown, table),
    ]


def _closer(runs: Sequence[Run], pictures: bool) -> list[Block]:
    chosen = _drawn(runs)
    if not chosen or len(chosen[0].record["data"]["classes"]) != 2:
        return []
    blocks: list[Block] = [
        Heading("A closer look"),
        Text(f"The rows with the highest accuracy of each split, at most {_DRAWN}, the lowest seed of each."),
        Picture.of("confusion", "Confusion matrices of the test slices.", figures.confusions(chosen)),
        Picture.of("roc", "ROC curves of the test slices.", figures.roc(chosen)),
        Picture.of(
            "reliability",
            "How often a run is right against how sure it is; on the diagonal, probabilities mean what they say.",
            figures.reliability(chosen),
        ),
    ]
    for run in chosen if pictures else []:
        if (run.folder / "wrong.png").exists():
            caption = (
                f"Experiment {run.row}, {run.optimizer}, by {run.split}, seed {run.seed}: the slices that it is most "
                "confidently wrong about, with the outline of the tumour mask where there is one."
            )
            name = f"wrong_{run.row}_{run.optimizer.lower()}_{run.split}"
            blocks.append(Picture(name, caption, (run.folder / "wrong.png").read_bytes()))
    return blocks


def _drawn(runs: Sequence[Run]) -> list[Run]:
    chosen = []
    for split in analysis.SPLITS:
        first: dict[tuple[int | None, str], Run] = {}
        for run in runs:  # in the order of seeds
            if run.split == split and run.row:
                first.setdefault((run.row, run.optimizer), run)
        chosen += sorted(first.values(), key=lambda run: run.accuracy, reverse=True)[:_DRAWN]
    return chosen


def _costs(runs: Sequence[Run]) -> list[Block]:
    table, every = analysis.costs(runs), analysis.every_run(runs)
    shown = table.reset_index()
    shown["experiment"] = shown["experiment"].replace(0, "none")
    for name, form in (("minutes", "{:.1f}"), ("images/s", "{:,.0f}"), ("trained parameters", "{:,}")):
        shown[name] = shown[name].map(form.format)
    lines = every[["folder", "experiment", "optimizer", "split", "seed", "weights", "accuracy", "loss", "auroc"]].copy()
    lines["experiment"] = lines["experiment"].map(lambda row: "none" if pd.isna(row) else str(int(row)))
    lines["accuracy"] = lines["accuracy"].map(_percent)
    for name in ("loss", "auroc"):
        lines[name] = lines[name].map(lambda value: "" if pd.isna(value) else f"{value:.3f}")
    return [
        Heading("Cost"),
        Text("Medians over a row's runs. A run that was cut off counts the minutes since it was last taken up."),
        Table("cost", shown, table),
        Heading("Every run"),
        Table("runs", lines, every),
    ]


def _percent(value: Any, missing: str = "not run") -> str:
    return missing if math.isnan(value) else f"{value:.1%}"


def _points(value: float, low: float = math.nan, high: float = math.nan) -> str:
    if math.isnan(value):
        return "not run"
    limits = "" if math.isnan(low) else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    return f"{100 * value:+.1f}{limits} points"


def _estimate(line: "pd.Series[Any]", split: str) -> str:
    value, low, high, n = (line[f"{split} {name}"] for name in ("accuracy", "low", "high", "n"))
    return f"{value:.1%} ({low:.1%} to {high:.1%}), n={n}" if n else "not run"


def _pairs(grid: pd.DataFrame, side: str) -> list[str]:
    pairs = grid[[f"{side} train loss", f"{side} test loss"]].itertuples(index=False)
    return ["" if math.isnan(train) else f"{train:.2f}, {test:.2f}" for train, test in pairs]


def _counted(table: pd.DataFrame, name: str) -> list[str]:
    pairs = table[[name, f"{name} n"]].itertuples(index=False)
    return ["" if not count else f"{value:.1%} of {count:,.0f}" for value, count in pairs]


def _joined(first: str, second: str) -> str:
    """Say once what holds for both splits."""
    return first if not second or first == second else second if not first else f"slice: {first}; patient: {second}"
