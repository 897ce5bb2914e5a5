"""The report's chapters: each turns runs into headings, texts, tables and figures."""

import math
from collections.abc import Sequence

import pandas as pd

from brain_tumor.report import analysis, figures, paper
from brain_tumor.report.estimates import of_row
from brain_tumor.report.page import Block, Heading, Picture, Table, Text
from brain_tumor.report.runs import Run
from brain_tumor.report.wording import counted, estimate, joined, losses, percent, points
from brain_tumor.results.summary import BASELINE_TITLES

_DRAWN = 5  # runs a panel of ROC and reliability curves


def grid(runs: Sequence[Run], optimizer: str) -> list[Block]:
    """Table 1 with the baselines below it, and the same as a figure."""
    grid, baselines = analysis.grid(runs, optimizer), analysis.baselines(runs)
    shown = pd.DataFrame(
        {
            "experiment": grid.index,
            "model": grid["model"] + ", " + grid["strategy"],
            "batch, epochs, lr": [
                f"{a:.0f}, {b:.0f}, {c:g}" for a, b, c in grid[["batch_size", "epochs", "lr"]].to_numpy()
            ],
            "transforms": grid["transforms"],
            "paper: train loss, test loss": losses(grid, "paper"),
            "paper: accuracy": grid["paper accuracy"].map("{:.0%}".format),
            "by slice: train loss, test loss": losses(grid, "slice"),
            "by slice: accuracy": [estimate(line, "slice") for _, line in grid.iterrows()],
            "by patient: train loss, test loss": losses(grid, "patient"),
            "by patient: accuracy": [estimate(line, "patient") for _, line in grid.iterrows()],
            "notes": [joined(a, b) for a, b in grid[["slice note", "patient note"]].to_numpy()],
        }
    )
    below = [
        {
            **dict.fromkeys(shown.columns, ""),
            "model": BASELINE_TITLES[str(name)],
            "by slice: accuracy": percent(line["slice"], "–"),
            "by patient: accuracy": percent(line["patient"], "–"),
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


def best(runs: Sequence[Run], optimizers: Sequence[str]) -> list[Block]:
    """Table 2: the best row of each model."""
    grids = pd.concat({name: analysis.grid(runs, name) for name in optimizers}, names=["optimizer"])
    lines = []
    for model, number in paper.BEST.items():
        own = grids[(grids["model"] == model) & grids["slice accuracy"].notna()].reset_index()
        published = paper.table()["test_accuracy"][number]
        line = {"model": model, "the paper's best": f"experiment {number}: {published:.0%}"}
        if len(own):
            found = own.iloc[int(own["slice accuracy"].argmax())]
            title = f"experiment {found['experiment']}, {found['optimizer']}"
            line["ours by slice"] = f"{title}: {found['slice accuracy']:.1%}"
            line["the same by patient"] = percent(found["patient accuracy"])
        lines.append({"ours by slice": "not run", "the same by patient": "not run"} | line)
    table = pd.DataFrame(lines, columns=["model", "the paper's best", "ours by slice", "the same by patient"])
    return [
        Heading("Table 2, best results"),
        Text(
            "Ours is the best of the rows that were run, chosen on the test part as the paper's is, and so optimistic."
        ),
        Table("table2", table, table),
    ]


def curves(runs: Sequence[Run], optimizers: Sequence[str]) -> list[Block]:
    """The paper's figures, of experiments 19 and 20, and the same of every fine-tuned row that was run."""
    blocks: list[Block] = [Heading("Loss and accuracy over epochs")]
    wanted = {19, 20} | {run.row for run in runs if run.row and run.record["hyperparameters"]["strategy"] == "finetune"}
    for row in sorted(wanted):
        for optimizer in optimizers:
            chosen = {split: of_row(runs, row, optimizer, split) for split in analysis.SPLITS}
            if any(chosen.values()):
                title = f"Experiment {row}, {optimizer}"
                caption = f"{title}: mean over seeds, the band from the lowest to the highest seed."
                blocks.append(
                    Picture.of(f"curves_{row}_{optimizer.lower()}", caption, figures.curves(title, chosen, row))
                )
            elif row in (19, 20):
                blocks.append(Text(f"Experiment {row}, {optimizer}: not run."))
    return blocks


def comparisons(runs: Sequence[Run], optimizer: str) -> list[Block]:
    """What the paper claims of its rows, answered from ours."""
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
            found = points(*answer[["difference", "low", "high"]])
            said = f"{answer['verdict']}: {found}, n={answer['n']}" if answer["n"] else "not run"
            line[f"by {answer['split']}"] = said
        lines.append(line)
    shown = pd.DataFrame(lines)
    return [
        Heading(f"The paper's comparisons, {optimizer}"),
        Text(
            "Each claim is the paper's, or follows from its table; runs of equal seed are compared. It holds, or does "
            "not hold, where the 95 % interval of the difference leaves out 0: a bootstrap over patients of the mean "
            "over seeds (n), which leaves out what other seeds would change."
        ),
        Table("comparisons", shown, table),
    ]


def optimizers(runs: Sequence[Run], names: Sequence[str]) -> list[Block]:
    """Which optimizer the paper's numbers look like."""
    table = analysis.optimizers(runs)
    shown = pd.DataFrame({"experiment": table.index, "the paper": table["paper"].map("{:.0%}".format)})
    for name in names:
        if name in table:
            shown[name] = _with_collapsed(table, name)
            shown[f"{name} after one epoch: train loss, test accuracy"] = [
                "" if math.isnan(loss) else f"{loss:.2f}, {percent(accuracy)}"
                for loss, accuracy in table[[f"{name} first train loss", f"{name} first test accuracy"]].to_numpy()
            ]
    first = paper.FIRST_EPOCH
    published = f"train loss {first['train loss']} and test accuracy {first['test accuracy']}"
    return [
        Heading("SGD or Adam"),
        Text(
            "The paper's table says SGD with momentum 0.5; its listing (section VII) trains with Adam. By slice, both "
            "beside the paper's accuracy; in brackets, how many runs have collapsed, which is to give every slice the "
            "same answer. " + _at_majority(table, [name for name in names if name in table])
        ),
        Text(
            f"The authors' published curve of the 30-epoch run stands at {published} after its first epoch. "
            + _first_epochs(table, [name for name in names if name in table])
        ),
        Table("optimizers", shown, table),
    ]


def _with_collapsed(table: pd.DataFrame, name: str) -> list[str]:
    lines = table[[name, f"{name} collapsed", f"{name} n"]].itertuples(index=False)
    return [percent(value) + (f" ({count} of {n} collapsed)" if count else "") for value, count, n in lines]


def _at_majority(table: pd.DataFrame, names: Sequence[str]) -> str:
    """Say what each optimizer scores in the rows where the paper has no more than the majority."""
    rows, said = table[table["paper"] <= 0.65], []
    for name in names:
        run = rows[rows[f"{name} n"] > 0]
        pairs = zip(run.index, _with_collapsed(run, name), strict=True)
        said.append(f"{name}: {', '.join(f'experiment {row} {text}' for row, text in pairs) or 'not run'}")
    return f"The rows that the paper has at 65 %, which is always answering no tumour: {'; '.join(said)}."


def _first_epochs(table: pd.DataFrame, names: Sequence[str]) -> str:
    said = []
    for name in names:
        for row in (19, 20):
            loss, accuracy = (float(table[f"{name} first {what}"][row]) for what in ("train loss", "test accuracy"))
            values = "not run" if math.isnan(loss) else f"train loss {loss:.2f}, test accuracy {percent(accuracy)}"
            said.append(f"{name}, experiment {row}: {values}")
    return "; ".join(said) + "."


def leakage(runs: Sequence[Run], optimizer: str) -> list[Block]:
    """What the split by slice gives away."""
    table = analysis.leakage(runs, optimizer)
    shown = pd.DataFrame(
        {
            "experiment": table.index,
            "by slice": table["slice"].map(percent),
            "by patient": table["patient"].map(percent),
            "difference": [points(value) for value in table["difference"]],
            "test slices with a neighbour in training": counted(table, "neighbour"),
            "without": counted(table, "no neighbour"),
        }
    )
    return [
        Heading(f"Leakage, {optimizer}"),
        Text(
            "What the split by slice adds to accuracy, and where: test slices whose neighbour, the slice above or "
            "below of the same patient, was in training, against those without. Those are few, and many of them are a "
            "patient's first or last slice, which is easy: the majority, always answering the commonest class of "
            "just these slices, says how easy."
        ),
        Table("leakage", shown, table),
    ]


def closer(runs: Sequence[Run], pictures: bool) -> list[Block]:
    """Confusion matrices, ROC and reliability curves of the best rows, and what they are most wrong about."""
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
        kinds = {(run.row, run.optimizer) for run in runs if run.row}
        shown = [of_row(runs, row, optimizer, split) for row, optimizer in kinds if row]
        first = [min(seeds, key=lambda run: run.seed) for seeds in shown if seeds]
        # A run that has diverged, or a test part of one class, has no curve.
        drawable = [run for run in first if run.record["test"]["auroc"]["value"] is not None]
        chosen += sorted(drawable, key=lambda run: (-run.accuracy, run.row, run.optimizer))[:_DRAWN]
    return chosen


def costs(runs: Sequence[Run]) -> list[Block]:
    """Time and size of every row, and the list of all runs."""
    table, every = analysis.costs(runs), analysis.every_run(runs)
    shown = table.reset_index()
    shown["experiment"] = shown["experiment"].replace(0, "none")
    for name, form in (("minutes", "{:.1f}"), ("images/s", "{:,.0f}"), ("trained parameters", "{:,}")):
        shown[name] = shown[name].map(form.format)
    measures = list(dict.fromkeys(every["measure"]))
    numbers = [name for name in (*measures, "loss", "auroc") if name in every]
    lines = every[["folder", "experiment", "optimizer", "split", "seed", "weights", *numbers]].copy()
    lines["experiment"] = lines["experiment"].map(lambda row: "none" if pd.isna(row) else str(int(row)))
    for name in numbers:
        form = "{:.1%}" if name in measures else "{:.3f}"
        lines[name] = ["" if pd.isna(value) else form.format(value) for value in lines[name]]
    return [
        Heading("Cost"),
        Text("Medians over a row's runs. A run that was cut off counts the minutes since it was last taken up."),
        Table("cost", shown, table),
        Heading("Every run"),
        Table("runs", lines, every),
    ]
