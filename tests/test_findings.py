"""The sentences with numbers in docs/ say what the report's tables do."""

import re
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
REPORT = DOCS / "results" / "report"
ADAMW = "resnet18, finetune, flipped, normalized, AdamW"
ROW_17 = "experiment 17, resnet18, finetune, flipped, normalized, SGD"
ROW_10, ROW_12 = "experiment 10, resnet18, freeze, SGD", "experiment 12, resnet50, freeze, SGD"
Line: TypeAlias = dict[str, Any]


def _page(name: str) -> str:
    """Return a page in one line, so that a sentence may be broken anywhere."""
    return " ".join((DOCS / f"{name}.md").read_text().split())


def _table(name: str, *index: str) -> dict[Any, Line]:
    """Return the lines of a table by the values of some of its columns, in order."""
    lines: list[Line] = pd.read_csv(REPORT / f"{name}.csv").to_dict("records")  # type: ignore[assignment]
    return {tuple(line[key] for key in index) if len(index) > 1 else line[index[0]]: line for line in lines}


def _short(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("0.", ".", 1)


def _points(value: float, low: float, high: float, form: str = "{:+.1f}") -> str:
    """Write a difference of shares in points, as in +3.2 (+1.2 to +5.0)."""
    first, *limits = (form.format(100 * number) for number in (value, low, high))
    return f"{first} ({' to '.join(limits)})"


def _plain(value: float, low: float, high: float) -> str:
    return _points(value, low, high, "{:.1f}").replace("(0.", "(.").replace("(-0.", "(-.")


def _percent(line: Line, name: str) -> str:
    first, *limits = (f"{100 * line[key]:.1f}" for key in (name, f"{name} low", f"{name} high"))
    return f"{first} % ({' to '.join(limits)})"


def test_what_a_split_by_slice_hides() -> None:
    page, table = _page("findings"), _table("leakage_paired", "model")
    masks = "unet, resnet18, finetune, flipped, normalized, rotated, sequences missing, AdamW"
    for title, model in (("row 10, ", ROW_10), ("row 12, ", ROW_12), ("row 17, ", ROW_17), ("ResUNet-18, ", masks)):
        line = table[model]
        shares = " | ".join(f"{100 * line[name]:.1f} %" for name in ("slice", "patient"))
        difference = _points(line["difference"], line["low"], line["high"])
        assert re.search(rf"\| {title}[^|]*\| {re.escape(f'{shares} | {difference}')} points \|", page), title
    line = table[masks]
    assert f"-{_short(line['difference'], 3)} (-{_short(line['high'], 3)} to -{_short(line['low'], 3)})" in _page(
        "localization"
    )
    # In the minute's summary the split's share of the 5.5 points is row 17's.
    line = table[ROW_17]
    assert f"2.0 (.0 to {100 * line['high']:.1f}) are the split" in page
    assert (round(100 * line["difference"], 1), int(line["n"])) == (2.0, 590)


def test_what_position_and_another_recipe_are_worth() -> None:
    page, table = _page("findings"), _table("folds_paired", "model")
    line = table[ADAMW]
    limits = [100 * line[f"to_next {limit}"] for limit in ("low", "high")]
    assert f"{100 * line['to_next']:.1f} points more ({limits[0]:.1f} to {limits[1]:.1f}), paired" in page
    for row, model in ((10, ROW_10), (12, ROW_12)):
        value, low, high = (100 * table[model][f"to_position{limit}"] for limit in ("", " low", " high"))
        assert f"{value:.1f} (row {row}, {low:.1f} to {high:.1f})" in page


@pytest.mark.parametrize(
    ("better", "worse", "split"),
    [
        *[(9, 10, "slice"), (9, 10, "patient"), (11, 12, "slice"), (2, 4, "slice"), (6, 8, "slice"), (10, 12, "slice")],
        *[(9, 11, "slice"), (9, 1, "slice"), (9, 13, "slice"), (15, 13, "slice"), (17, 9, "slice")],
    ],
)
def test_comparisons_are_the_reports(better: int, worse: int, split: str) -> None:
    table = _table("comparisons", "better", "worse", "split")
    line = table[better, worse, split]
    value, low, high = (f"{100 * line[name]:+.1f}" for name in ("difference", "low", "high"))
    page = _page("findings")
    assert f"{value} ({low} to {high})" in page or f"{value}, {low} to {high}" in page


def test_what_a_reader_may_expect() -> None:
    page = _page("findings")
    line = _table("expectations", "model")[ADAMW]
    assert (
        f"the median patient has {100 * line['median']:.1f} % of the slices right, a tenth have less than "
        f"{100 * line['tenth']:.1f} %, the worst has {100 * line['worst']:.1f} %" in page
    )
    slopes = [
        f"{_short(line[name], 2)} ({_short(line[f'{name} low'], 2)} to {_short(line[f'{name} high'], 2)})"
        for name in ("slope", "calibrated_slope")
    ]
    assert f"calibration slope {slopes[0]}, and {slopes[1]} with" in page
    assert f"Brier score {_short(line['brier'], 3)}, then {_short(line['calibrated_brier'], 3)}" in page
    assert f"its specificity is {_percent(line, 'sensitive_specificity')}" in page


def test_where_the_errors_are() -> None:
    page, table = _page("findings"), _table("errors", "by", "group")

    def share(by: str, group: str) -> str:
        return f"{100 * table[by, group]['accuracy']:.1f}"

    ends = "slices to the tumour's end"
    assert f"{_percent(table[ends, '0'], 'accuracy')} of a tumour's first and last slices are right" in page
    assert f"{share(ends, '-1')} % just outside, {share(ends, '4 or more')} % deep inside" in page
    others = ", ".join(f"{site} {share('institution', site)}" for site in ("DU", "FG", "HT"))
    assert f"CS {_percent(table['institution', 'CS'], 'accuracy')}, {others}." in page
    grades = [share("neoplasm_histologic_grade", grade) for grade in ("1", "2")]
    assert f"By grade: {' and '.join(grades)} %" in page
    smallest = table["tumour's area, pixels", "0 to 315"]
    assert f"finds {100 * smallest['accuracy']:.0f} % of the slices" in page
    both, one, other, neither = (line["share"] for line in _table("errors_agreement", "right").values())
    assert (
        f"right on {100 * both:.1f} % of the slices, one of them alone on {100 * one:.1f} and {100 * other:.1f} %, "
        f"neither on {100 * neither:.1f} %" in page
    )


def test_contrasts_between_patients() -> None:
    page, table = _page("types"), _table("types_contrasts", "target", "class")

    def written(value: float) -> str:
        return "1" if value >= 0.9995 else _short(value, 3)

    said = re.findall(
        r"\| `(\w+)` (\d) \| (\d+) of (\d+) \| (\S+) \((\S+) to (\S+)\) \| (\S+) \| (\S+) \((\S+)\) \|", page
    )
    assert len(said) == 7
    for target, name, *cells in said:
        line = table[f"lgg, {target}", int(name)]
        area = [written(line[column]) for column in ("AUROC", "AUROC low", "AUROC high")]
        corrected = [written(line[column]) for column in ("p, Holm", "adjusted p", "adjusted p, Holm")]
        assert cells == [str(line["patients"]), str(line["of"]), *area, *corrected], target
    stand = {key for key, line in table.items() if line["p, Holm"] < 0.05}
    assert stand <= {(f"lgg, {target}", int(name)) for target, name, *_ in said}
    assert all(line["adjusted p, Holm"] >= 0.05 for line in table.values())
    assert f"The interval of {sum(line['AUROC low'] <= 0.5 for line in table.values())} covers .5" in page


def test_the_columns_of_lggs_patients() -> None:
    """The classes' numbers of patients are those of the packed predictions' contrasts."""
    counts: dict[str, dict[str, int]] = {}
    for (target, name), line in _table("types_contrasts", "target", "class").items():
        counts.setdefault(target.removeprefix("lgg, "), {})[str(name)] = int(line["patients"])
    for target, known in counts.items():
        (cell,) = re.findall(
            rf"^\| `{target}` \| ((?:\d: \d+(?:, )?)+) \|", (DOCS / "types.md").read_text(), re.MULTILINE
        )
        said = dict(pair.split(": ") for pair in cell.split(", "))
        assert {name: int(said[name]) for name in known} == known, target


def test_leakage_between_types() -> None:
    page, table = _page("types"), _table("types_paired", "model", "input", "folds")

    def numbers(model: str, shown: str) -> str:
        title, seen = (
            f"{model}, partial layer4, flipped, normalized, AdamW",
            {"crops": "crops, by true masks (an oracle)"},
        )
        line = table[title, seen.get(shown, "whole slices"), "5, ours"]
        return _plain(line["difference"], line["low"], line["high"])

    for model, words in (("resnet18", "5.2 points (2.8 to 8.0)"), ("resnet50", "3.5 (1.1 to 6.2)")):
        assert words.replace(" points", "") == numbers(model, "whole")
        assert words in page
    crops = [numbers(model, "crops") for model in ("resnet18", "resnet50")]
    assert f"adds {crops[0]} and {crops[1]} points".replace("0.7 (", ".7 (") in page
