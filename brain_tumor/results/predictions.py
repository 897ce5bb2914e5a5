"""What `predict` leaves: a case at a time, so that nothing is lost, and tables of all of them in the end.

slices.csv     a row a slice
cases.csv      a row a case
predict.json   what it was made with
masks/         a mask a case
overlays/      a picture a case
pages/         a page a case, on request
.cases/        what is finished: a later call goes on after it
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from brain_tumor.results import storage

_SHOWN = {
    "case": "case", "slices": "slices", "p_max": "largest p(tumour)", "volume_ml": "tumour in ml",
    "type": "type", "warnings": "note"
}  # fmt: skip
_FORMS = {"p_max": "{:.3f}", "volume_ml": "{:.1f}"}
_LAST = ["status", "reason"]
_FORMAT = 2  # of what a case is kept in


def columns(classes: Sequence[str]) -> list[str]:
    """Name the columns that hold the probabilities of classes, in every table of slices."""
    return [f"p({name})" for name in classes]


class Predictions:
    """The output folder of `predict`.

    Args:
        folder: where it is.
        identity: of models and settings; what was made with others is made again.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        self.identity = {"format": _FORMAT, **identity}
        self.home(".cases")

    def home(self, name: str) -> Path:
        """Return the folder of that name in it, made where it is missing."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def done(self, case: str, stamp: str, pictures: Mapping[str, str]) -> bool:
        """Return whether a case of these files (`stamp`) has been predicted, without a failure, and has its pictures.

        Args:
            case: its name.
            stamp: of its files.
            pictures: the folders that are to have one of it, each with the suffix.
        """
        path = self._path(case)
        files = [self.folder / name / f"{case}{suffix}" for name, suffix in pictures.items()]
        if not all(own.exists() for own in (path, *files)):
            return False
        found = storage.read_json(path)
        return bool(found["made with"] == self._made_with(stamp) and found["row"]["status"] == "ok")

    def write(self, case: str, stamp: str, row: Mapping[str, Any], table: pd.DataFrame) -> None:
        """Keep a case: its row for cases.csv, and its table for slices.csv."""
        content = {
            "made with": self._made_with(stamp),
            "row": {"case": case, "status": "ok", "reason": "", **row},
            "slices": table.to_dict("records"),
        }
        storage.write_json(self._path(case), content)

    def fail(self, case: str, stamp: str, reason: str, source: str) -> None:
        """Keep why a case could not be predicted."""
        row = {"status": "failed", "reason": reason, "source": source}
        self.write(case, stamp, row, pd.DataFrame([{"slice": None}]))

    def finish(self, cases: Sequence[str], described: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Write the tables of all cases that are finished with these models and settings, by whichever part.

        Returns:
            Names and reasons of those that have failed.
        """
        kept = [storage.read_json(path) for case in cases if (path := self._path(case)).exists()]
        finished = [own for own in kept if own["made with"].items() >= self.identity.items()]
        rows = [own["row"] for own in finished]
        if rows:
            slices = [
                {"case": own["row"]["case"], **slice_, "status": own["row"]["status"], "reason": own["row"]["reason"]}
                for own in finished
                for slice_ in own["slices"]
            ]
            # A failed case has no numbers, only its row; as objects, the others' whole numbers stay whole.
            table = pd.DataFrame(slices, dtype=object)
            columns = [*(name for name in table if name not in _LAST), *_LAST]
            storage.write_csv(self.folder / "slices.csv", table[columns])
            storage.write_csv(
                self.folder / "cases.csv", pd.DataFrame(rows).astype({"slices": "Int64"}, errors="ignore")
            )
        failed = [(row["case"], row["reason"]) for row in rows if row["status"] != "ok"]
        counts = {"cases": len(cases), "finished": len(rows), "failed": len(failed)}
        storage.write_json(self.folder / "predict.json", {**described, **self.identity, **counts})
        return failed

    def overview(self) -> str:
        """Say in a few lines what was found, after `finish`."""
        path = self.folder / "cases.csv"
        table = pd.read_csv(path, keep_default_na=False) if path.exists() else pd.DataFrame({"status": []})
        good = table[table["status"] == "ok"]
        shown = good[[name for name in _SHOWN if name in good]].head(10)
        numbers = {name: shown[name].map(partial(_brief, form)) for name, form in _FORMS.items() if name in shown}
        shown = shown.assign(**numbers).rename(columns=_SHOWN)
        lines = [shown.to_string(index=False)] if len(shown) else []
        if len(good) > len(shown):
            lines.append(f"... and {len(good) - len(shown)} more in {path}")
        lines.append("Research software, not a medical device: nothing here may guide the care of a person.")
        return "\n".join(lines)

    def _made_with(self, stamp: str) -> dict[str, Any]:
        return {**self.identity, "files": stamp}

    def _path(self, case: str) -> Path:
        return self.folder / ".cases" / f"{case}.json"


def _brief(form: str, value: object) -> str:
    """Write a number of a table that may have none."""
    return "" if value == "" else form.format(float(str(value)))
