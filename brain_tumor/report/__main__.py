"""Report runs beside the paper's results: one HTML page, the same tables as Markdown and CSV, and figures as PNG.

python -m brain_tumor.report outputs
python -m brain_tumor.report outputs other/outputs --to report
"""

import argparse
from pathlib import Path

from brain_tumor.config import cli


def main() -> None:
    """Write the report of all runs below the given folders, at any time, even while a sweep is running."""
    parser = argparse.ArgumentParser(
        prog="python -m brain_tumor.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, help="folders with runs, such as outputs")
    parser.add_argument("--to", type=Path, help="folder for the report; report/ in the first folder by default")
    parser.add_argument(
        "--no-slices", action="store_true", help="leave out pictures of the data, so that the page can be shared"
    )
    parser.add_argument("--patients", type=Path, help="a CSV file with facts of patients, one row each (docs/grid.md)")
    parser.add_argument(
        "--by", type=_names, default=(), help="its columns by which to divide errors, such as grade,sex"
    )
    parser.add_argument(
        "--adjust", type=_names, default=(), help="its numbers for which to adjust contrasts, such as age"
    )
    arguments = parser.parse_args()

    from brain_tumor.report import compose, page, patients_table, runs

    folder = arguments.to or arguments.folders[0] / "report"
    known = patients_table.NOTHING
    if arguments.by or arguments.adjust:
        if arguments.patients is None:
            raise ValueError("--by and --adjust name columns of a file: give it as --patients FILE")
        groups, numbers = (patients_table.read(arguments.patients, names) for names in (arguments.by, arguments.adjust))
        known = patients_table.Known(groups, numbers)
    blocks = compose.compose(runs.collect(arguments.folders), not arguments.no_slices, known)
    page.write("Brain tumours in MRI: the paper's grid and other runs", blocks, folder)
    print(f"report: {folder}/report.html")


def _names(text: str) -> list[str]:
    return text.split(",")


if __name__ == "__main__":
    cli.enter(main)
