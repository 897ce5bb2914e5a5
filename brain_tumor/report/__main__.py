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
    arguments = parser.parse_args()

    from brain_tumor.report import compose, page, runs

    folder = arguments.to or arguments.folders[0] / "report"
    blocks = compose.compose(runs.collect(arguments.folders), pictures=not arguments.no_slices)
    page.write("Brain tumours in MRI: the paper's grid and other runs", blocks, folder)
    print(f"report: {folder}/report.html")


if __name__ == "__main__":
    cli.enter(main)
