"""Report runs beside the paper's results: one HTML page, the same tables as Markdown and CSV, and figures as PNG.

python -m brain_tumor.report outputs
python -m brain_tumor.report outputs other/outputs --to report
python -m brain_tumor.report 'folders=[outputs,other/outputs]' to=report slices=false
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from omegaconf import DictConfig

from brain_tumor.config import cli, names, typed

# Options of Hydra that are followed by a value.
_WITH_VALUE = {"-c", "--cfg", "-p", "--package", "-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"}


@hydra.main(config_path=typed.CONF, config_name="report", version_base="1.3")
def main(cfg: DictConfig) -> None:
    """Write the report of all runs below the given folders, at any time, even while a sweep is running."""
    config = typed.plain(cfg, "report")
    from brain_tumor.report import compose, page, patients_table, runs

    folders = [Path(folder) for folder in _listed(config["folders"])]
    if not folders:
        raise ValueError("folders=[]: give the folder that training wrote to, such as outputs")
    folder = Path(config["to"]) if config["to"] else folders[0] / "report"
    known = patients_table.NOTHING
    divided, adjusted = _listed(config["by"]), _listed(config["adjust"])
    if divided or adjusted:
        if not config["patients"]:
            raise ValueError("by, adjust: name columns of a file; give it as patients=FILE")
        groups, numbers = (patients_table.read(Path(config["patients"]), columns) for columns in (divided, adjusted))
        known = patients_table.Known(groups, numbers)
    blocks = compose.compose(runs.collect(folders), config["slices"], known)
    page.write("Brain tumours in MRI: the paper's grid and other runs", blocks, folder)
    print(f"report: {folder}/report.html")


def _listed(value: str | Sequence[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def translate(arguments: Sequence[str]) -> list[str]:
    """Write folders, --to FOLDER and --no-slices, as the report was called before, as overrides."""
    folders: list[str] = []
    options: list[str] = []  # come first, since overrides have to stand together
    translated: list[str] = []
    waiting = ""
    for argument in arguments:
        if waiting == "--to":
            translated.append(f"to={names.quoted(argument)}")
        elif waiting or (argument.startswith("-") and argument not in {"--to", "--no-slices"}):
            options.append(argument)
        elif argument == "--no-slices":
            translated.append("slices=false")
        elif argument != "--to":
            is_folder = "=" not in argument or Path(argument).is_dir()
            (folders if is_folder else translated).append(argument)
        waiting = argument if not waiting and argument in {*_WITH_VALUE, "--to"} else ""
    named = [f"folders=[{','.join(map(names.quoted, folders))}]"] if folders else []
    return [*options, *named, *translated]


if __name__ == "__main__":
    sys.argv[1:] = translate(sys.argv[1:])
    cli.enter(main)
