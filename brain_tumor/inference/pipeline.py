"""Predict many cases: read ahead, predict in batches, and write each case when it is finished."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tqdm import tqdm

from brain_tumor.inference import case_files, extras, other_grids
from brain_tumor.inference.extras import Extras
from brain_tumor.inference.output_folder import Predictions
from brain_tumor.inference.prediction import Prediction, summarise
from brain_tumor.inference.predictor import Predictor
from brain_tumor.io import names
from brain_tumor.io.prefetch import prefetch
from brain_tumor.scans.cases import Case, Slices

_SUFFIXES = {"overlays": ".png", "pages": ".html"}
# A case's slices and their prediction, or why there is none.
_Result = tuple[Slices, Prediction] | str


def part(cases: Sequence[Case], text: str | None) -> list[Case]:
    """Return the cases of a part such as "1/4", the same on every machine.

    Raises:
        ValueError: the text names no part.
    """
    if text is None:
        return list(cases)
    number, _, count = str(text).partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ValueError(f"part={text}: write 1/4 for the first of four")
    digests = [int(hashlib.sha256(case.name.encode()).hexdigest(), 16) for case in cases]
    return [case for case, digest in zip(cases, digests, strict=True) if digest % int(count) == int(number) - 1]


def run(
    predictor: Predictor,
    cases: Sequence[Case],
    written: Predictions,
    preset: str,
    overlays: bool,
    pages: bool = False,
    register: str = "none",
    more: Extras = extras.NONE,
) -> None:
    """Predict cases, and write each as soon as it is finished; cases that are finished already are skipped.

    Pictures are predicted in batches; meanwhile the next batch is read and the last one is written.

    Args:
        predictor: the runs.
        cases: to predict.
        written: the output folder.
        preset: how a volume's intensities are scaled.
        overlays: whether each case gets a picture.
        pages: whether each case gets a page.
        register: how the sequences of a case are brought onto one grid, one of `registration.WAYS`.
        more: what else is asked for.
    """
    segments = predictor.run.task == "segmentation"

    def pictures(case: Case) -> dict[str, str]:
        # A single picture without a mask would only be copied.
        folders = {"overlays": overlays and (segments or not case.is_picture), "pages": pages}
        return {name: _SUFFIXES[name] for name, wanted in folders.items() if wanted} | more.files

    # Taken before anything is read, so that the next call predicts again what changes from now on.
    stamps = {case.name: more.stamp(case) for case in cases}
    todo = [case for case in cases if not written.done(case.name, stamps[case.name], pictures(case))]

    def read(batch: Sequence[Case]) -> list[tuple[Case, Slices | str]]:
        return [(case, predictor.read(case, preset, register)) for case in batch]

    def predict(batch: Sequence[tuple[Case, Slices | str]]) -> list[tuple[Case, _Result]]:
        predictions = iter(predictor.predict([slices for _, slices in batch if not isinstance(slices, str)]))
        return [(case, slices if isinstance(slices, str) else (slices, next(predictions))) for case, slices in batch]

    with ThreadPoolExecutor(2) as pool, tqdm(total=len(todo), desc="predicting", disable=None) as bar:
        for batch in prefetch(pool, predict, prefetch(pool, read, _batches(todo, predictor.batch))):
            for case, result in batch:
                _write(written, case, stamps[case.name], result, pictures(case), more)
            bar.update(len(batch))


def _write(
    written: Predictions, case: Case, stamp: str, result: _Result, pictures: Mapping[str, str], more: Extras
) -> None:
    """Write a case's prediction, or why there is none."""
    if isinstance(result, str):
        written.fail(case.name, stamp, result, case.origin)
        return
    slices, prediction = result
    warnings = "; ".join([*slices.warnings, *prediction.doubts, *other_grids.missing(case, more.mask_grids)])
    numbers = {**summarise(slices, prediction), **other_grids.figures(slices)}
    try:
        numbers |= more.row(case, slices, prediction, numbers)
        files = more.write(written.home, case, slices, prediction)
    except (ValueError, OSError) as error:
        written.fail(case.name, stamp, names.printable(str(error)), case.origin)
        return
    row = {**numbers, "source": case.origin, "warnings": warnings}
    if prediction.masks is not None:
        try:
            files += case_files.write_masks(written.home("masks"), case, slices, prediction.masks)
            if slices.placements:
                files += other_grids.write_masks(written.home, case, slices, prediction.masks, more.mask_grids)
        except Exception:
            # The mask takes its header from the scan, which may be gone. Any other error is not the scan's fault.
            if more.stamp(case) == stamp:
                raise
            written.fail(case.name, stamp, "has changed, or gone, while it was looked at", case.origin)
            return
    files += other_grids.write_transforms(written.home, case, slices)
    if "overlays" in pictures:
        files.append(written.home("overlays") / f"{case.name}.png")
        case_files.write_overlay(files[-1], slices, prediction)
    if "pages" in pictures:
        files.append(written.home("pages") / f"{case.name}.html")
        case_files.write_page(files[-1], {"case": case.name, **row}, slices, prediction)
    written.write(case.name, stamp, row, prediction.table, files)


def _batches(cases: Sequence[Case], size: int) -> list[list[Case]]:
    """Put pictures together, `size` at a time; a volume is a batch by itself."""
    pictures: list[Case] = []
    others: list[Case] = []
    for case in cases:
        (pictures if case.is_picture else others).append(case)
    together = range(0, len(pictures), size)
    return [pictures[start : start + size] for start in together] + [[case] for case in others]
