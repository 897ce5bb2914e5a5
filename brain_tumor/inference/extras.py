"""What a user may ask for of a case beside its numbers and its mask: a DICOM SEG, intervals, a comparison of masks."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from brain_tumor.inference import case_files, review
from brain_tumor.inference.base import Run
from brain_tumor.inference.intervals import NOT_MEASURED, Intervals
from brain_tumor.inference.prediction import Prediction
from brain_tumor.inference.predictor import Predictor
from brain_tumor.scans import dicom_seg, given_masks
from brain_tumor.scans.cases import Case, Slices
from brain_tumor.scans.dicom_seg import Algorithm

SEG = "seg"  # the folder of SEG files
_NAMED = 3  # cases that a message names


@dataclass(frozen=True)
class Extras:
    """What is asked for of every case.

    Attributes:
        algorithm: what SEG files say of the model; None for no such files.
        masks: a person's or another tool's masks, by the case's name.
        intervals: the table of intervals; None for none.
        mask_grids: sequences on whose own grids masks are written, too (see `other_grids.requested`).
    """

    algorithm: Algorithm | None = None
    masks: Mapping[str, Path] = field(default_factory=dict)
    intervals: Intervals | None = None
    mask_grids: Sequence[str] = ()

    @classmethod
    def of(
        cls, config: Mapping[str, Any], predictor: Predictor, cases: Sequence[Case], mask_grids: Sequence[str]
    ) -> "Extras":
        """Take what a command's keys `dicom_seg`, `masks` and `intervals` ask for, and its checked `mask_grids`.

        Raises:
            ValueError: the runs make no masks, a case is no DICOM series, or a file does not fit.
        """
        asked = {key: config.get(key) for key in ("dicom_seg", "masks", "intervals")}
        if predictor.run.task != "segmentation" and (key := next((key for key in asked if asked[key]), "")):
            raise ValueError(f"{key}={asked[key]}: run={predictor.run.name} makes no masks; give a segmenter")
        if asked["dicom_seg"] not in (True, False, None):
            raise ValueError(f"dicom_seg={asked['dicom_seg']}: choose true or false")
        if asked["dicom_seg"]:
            dicom_seg.require()
            _refuse_others(cases)
        if asked["masks"]:
            _refuse_own(str(asked["masks"]), Path(config["output_dir"]))
        names = [case.name for case in cases]
        masks = given_masks.find(str(asked["masks"]), names) if asked["masks"] else {}
        intervals = Intervals.read(Path(str(asked["intervals"]))) if asked["intervals"] else None
        if intervals is not None:
            intervals.refuse_misfit(predictor.run, predictor.detector)
        return cls(_algorithm(predictor) if asked["dicom_seg"] else None, masks, intervals, mask_grids)

    @property
    def identity(self) -> dict[str, Any]:
        """What the numbers of a case depend on, beside the runs."""
        measured = NOT_MEASURED if self.intervals is None else self.intervals.digest
        return {"intervals": measured, "mask_grids": list(self.mask_grids)}

    @property
    def facts(self) -> dict[str, Any]:
        """Further facts for predict.json."""
        return {} if self.intervals is None else {"intervals_table": dict(self.intervals.content)}

    def stamp(self, case: Case) -> str:
        """Return a text that changes with the case's files (see `Case.stamp`) and with the mask to compare with."""
        if (path := self.masks.get(case.name)) is None:
            return case.stamp()
        try:
            status = path.stat()
            facts = str(path), status.st_size, status.st_mtime_ns
        except OSError:
            facts = str(path), 0, 0
        return f"{case.stamp()}-{hashlib.sha256(repr(facts).encode(errors='surrogateescape')).hexdigest()[:16]}"

    def remarks(self, folder: Path, cases: Sequence[Case]) -> list[str]:
        """Return what a user should know beside the table, a line each.

        Args:
            folder: the output folder.
            cases: that were predicted.
        """
        told = []
        if self.algorithm is not None:
            told.append(f"{folder / SEG}: DICOM SEG files carry the patient's identity, as their scans do")
        if self.masks and (without := [case.name for case in cases if case.name not in self.masks]):
            told.append(f"masks: none for {len(without)} of {len(cases)} cases, such as {without[0]}")
        return told

    @property
    def files(self) -> dict[str, str]:
        """The folders with a file of every case, each with the suffix."""
        return {SEG: ".dcm"} if self.algorithm else {}

    def row(self, case: Case, slices: Slices, prediction: Prediction, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return further columns of a case's row.

        Raises:
            ValueError: the mask to compare with cannot be read, or lies on another grid.
        """
        if prediction.masks is None:
            return {}
        more = {"intervals": NOT_MEASURED} if self.intervals is None else self.intervals.row(row)
        path = self.masks.get(case.name)
        return more if path is None else {**more, **review.score(path, slices, prediction)}

    def write(self, home: Callable[[str], Path], case: Case, slices: Slices, prediction: Prediction) -> list[Path]:
        """Write a case's SEG, if that is asked for, and return its path.

        Args:
            home: makes a folder of results and returns it.
            case: the case.
            slices: its slices.
            prediction: of the case.

        Raises:
            ValueError: the source's header does not allow it.
        """
        if self.algorithm is None or prediction.masks is None:
            return []
        source = case_files.grid_source(case)
        if source is None or slices.volume is None or slices.grid is None:
            raise ValueError("no DICOM SEG: the case is no volume")
        path = home(SEG) / f"{case.name}.dcm"
        mask = slices.grid.volume(prediction.masks)
        dicom_seg.write(path, source, slices.volume, mask, prediction.regions, self.algorithm)
        return [path]


NONE = Extras()


def _refuse_own(masks: str, output_dir: Path) -> None:
    """Refuse masks in the output folder, which would be written over before anybody has compared them.

    Raises:
        ValueError: they lie there.
    """
    if Path(masks).expanduser().resolve().is_relative_to(output_dir.resolve()):
        raise ValueError(
            f"masks={masks}: lies in output_dir={output_dir}, where our masks are written; copy it to another "
            "folder, or give another output_dir"
        )


def _refuse_others(cases: Sequence[Case]) -> None:
    """Refuse cases whose masks lie on the grid of another file than a DICOM series.

    Raises:
        ValueError: there are such cases.
    """
    sources = {case.name: case_files.grid_source(case) for case in cases}
    kinds = {name: source.kind for name, source in sources.items() if source is not None}
    others = [name for name, kind in kinds.items() if kind in {"nifti", "image", "stack"}]
    if others:
        named = ", ".join(others[:_NAMED]) + (", ..." if len(others) > _NAMED else "")
        raise ValueError(
            f"dicom_seg=true: {len(others)} of {len(cases)} cases are no DICOM series ({named}), and a SEG refers to "
            "DICOM images; leave it out: masks are written as NIfTI"
        )


def _algorithm(predictor: Predictor) -> Algorithm:
    """Describe the model that makes the masks, without the folders that lead to it."""
    run, detector = predictor.run, predictor.detector
    parameters = {"masks from": "0.5", "components": f"{run.components:g}"}
    if detector is not None:
        parameters |= {"detector": _names(detector), "detector SHA-256": detector.digest()}
        parameters["detector threshold"] = f"{predictor.threshold:.6g}"
    return Algorithm(_names(run), run.digest(), parameters)


def _names(run: Run) -> str:
    """Return the name of a run, or of several together, without the folders that lead to it."""
    return ", ".join(Path(name).name for name in run.name.split(", "))
