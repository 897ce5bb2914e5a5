"""Write the output folder of `predict`: each case when it is finished, so that nothing is lost, tables at the end.

slices.csv     one row per slice
cases.csv      one row per case
predict.json   the models and settings
masks/         one mask per case
overlays/      one picture per case
pages/         one page per case, on request
seg/           one DICOM SEG per case, on request; it names the patient, as the scan does
.cases/        the finished cases; a later call skips them
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from brain_tumor.io import tables, walk

_SHOWN = {
    "case": "case", "slices": "slices", "p_max": "largest p({positive})", "detector_p_max": "the detector's",
    "class": "class", "slices_by_class": "by slice", "volume_ml": "{positive} in ml", "diameter_mm": "longest in mm",
    "side_approximate": "side, about", "masks_dice": "Dice with masks", "type": "type",
    "warnings": "note"
}  # fmt: skip
_FORMS = {
    "p_max": "{:.3f}", "detector_p_max": "{:.3f}", "volume_ml": "{:.1f}", "diameter_mm": "{:.1f}",
    "masks_dice": "{:.3f}",
}  # fmt: skip
_FILES = ("masks/{}.nii.gz", "masks/{}_mask.png", "overlays/{}.png", "pages/{}.html", "seg/{}.dcm")  # of a case
_LAST = ["status", "reason"]
# Integers, which failed cases lack.
_WHOLE = (
    "slices", "emptied_slices", "emptied_px", "diameter_slice", "components", "masks_lesions", "masks_lesions_hit",
    "masks_false_components",
)  # fmt: skip
_FORMAT = 4  # of the files in .cases/
_NOTICE = "Research software, not a medical device: nothing here may guide the care of a person."


class Predictions:
    """The output folder of `predict`.

    Args:
        folder: where it is.
        identity: of models and settings; cases that were predicted with others are predicted again.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        self.identity = {"format": _FORMAT, **identity}
        self.home(".cases")

    def home(self, name: str) -> Path:
        """Return the folder of that name in it, made if missing, and marked as results, which are no input."""
        return walk.make_results_folder(self.folder / name)

    def done(self, case: str, stamp: str, pictures: Mapping[str, str]) -> bool:
        """Return whether a case has been predicted without a failure, from these files, and has its pictures.

        Args:
            case: its name.
            stamp: identifies its files.
            pictures: the folders that must have a picture of it, each with the suffix.
        """
        entry = self._entry(case)
        if entry is None or entry["made with"] != self._made_with(stamp) or entry["row"]["status"] != "ok":
            return False
        files = [*entry["files"], *(f"{name}/{case}{suffix}" for name, suffix in pictures.items())]
        return all((self.folder / file).exists() for file in files)

    def write(
        self, case: str, stamp: str, row: Mapping[str, Any], table: pd.DataFrame, files: Sequence[Path] = ()
    ) -> None:
        """Write a finished case.

        Args:
            case: its name.
            stamp: identifies its files.
            row: for cases.csv.
            table: for slices.csv.
            files: its mask, overlay and page, if they have been written.
        """
        names = [path.relative_to(self.folder).as_posix() for path in files]
        earlier = (self._entry(case) or {"files": []})["files"]
        for stale in {*(pattern.format(case) for pattern in _FILES), *earlier} - set(names):
            (self.folder / stale).unlink(missing_ok=True)  # of other models, or of earlier content of the file
        content = {
            "made with": self._made_with(stamp),
            "files": names,
            "row": {name: _text(value) for name, value in {"case": case, "status": "ok", "reason": "", **row}.items()},
            "slices": table.to_dict("records"),
        }
        tables.write_json(self._path(case), content)

    def fail(self, case: str, stamp: str, reason: str, source: str) -> None:
        """Write why a case could not be predicted."""
        row = {"status": "failed", "reason": reason, "source": source}
        self.write(case, stamp, row, pd.DataFrame([{"slice": None}]))

    def finish(self, cases: Sequence[str], described: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Write the tables of all cases that are finished with these models and settings, those of other parts too.

        Args:
            cases: names of all cases.
            described: further facts for predict.json.

        Returns:
            The rows of the failed cases.
        """
        entries = [entry for case in cases if (entry := self._entry(case)) is not None]
        finished = [entry for entry in entries if entry["made with"].items() >= self.identity.items()]
        rows = [entry["row"] for entry in finished]
        if rows:
            slices = [
                {"case": row["case"], **slice_, "status": row["status"], "reason": row["reason"]}
                for row, entry in zip(rows, finished, strict=True)
                for slice_ in entry["slices"]
            ]
            # A failed case has no numbers; with dtype object, the integers of the others stay integers.
            table = pd.DataFrame(slices, dtype=object)
            columns = [*(name for name in table if name not in _LAST), *_LAST]
            tables.write_csv(self.folder / "slices.csv", table[columns])
            summary = pd.DataFrame(rows)
            whole = {name: "Int64" for name in summary if str(name).partition("(")[0] in _WHOLE}
            tables.write_csv(self.folder / "cases.csv", summary.astype(whole))
        failed = [row for row in rows if row["status"] != "ok"]
        counts = {"cases": len(cases), "finished": len(rows), "failed": len(failed)}
        tables.write_json(self.folder / "predict.json", {**described, **self.identity, **counts})
        return failed

    def overview(self, positive: str | None) -> str:
        """Return the results in a few lines, after `finish`.

        Args:
            positive: the class that means a tumour; None if the data does not say.
        """
        path = self.folder / "cases.csv"
        if not path.exists():
            return _NOTICE
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        good = table[table["status"] == "ok"]
        means = {str(name): f"mean {name}" for name in good if str(name).startswith("p(")}
        titles = {name: title.replace("{positive}", str(positive)) for name, title in _SHOWN.items()}
        titles = {**{name: titles.pop(name) for name in ("case", "slices")}, **means, **titles}
        shown = good[[name for name in titles if name in good]].head(10)
        forms = {**_FORMS, **dict.fromkeys(means, "{:.3f}")}
        numbers = {name: shown[name].map(partial(_brief, form)) for name, form in forms.items() if name in shown}
        lines = [shown.assign(**numbers).rename(columns=titles).to_string(index=False)] if len(shown) else []
        if len(good) > len(shown):
            lines.append(f"... and {len(good) - len(shown)} more in {path}")
        lines += _emptied(good)
        lines.append(_NOTICE)
        return "\n".join(lines)

    def _made_with(self, stamp: str) -> dict[str, Any]:
        return {**self.identity, "files": stamp}

    def _path(self, case: str) -> Path:
        return self.folder / ".cases" / f"{case}.json"

    def _entry(self, case: str) -> dict[str, Any] | None:
        """Return a case from .cases/; None if it is missing, damaged, or of another format."""
        path = self._path(case)
        try:
            entry = tables.read_json(path) if path.exists() else {}
        except ValueError:
            return None
        parts = {"made with": dict, "row": dict, "slices": list, "files": list}
        whole = all(isinstance(entry.get(name), type_) for name, type_ in parts.items())
        return entry if whole and entry["made with"].get("format") == _FORMAT else None


def _text(value: object) -> object:
    """Return a text that any file can hold, since names of files need not be Unicode."""
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def _brief(form: str, value: str) -> str:
    """Return a formatted number; "" for a missing one."""
    return "" if value == "" else form.format(float(value))


def _emptied(cases: pd.DataFrame) -> list[str]:
    """Return a line on how many masks a detector has emptied; [] for none."""
    if "emptied_slices" not in cases:
        return []
    counts = cases["emptied_slices"].astype(int)
    if not (touched := int((counts > 0).sum())):
        return []
    return [f"The detector emptied the masks of {counts.sum()} slices, in {touched} of {len(cases)} cases."]
