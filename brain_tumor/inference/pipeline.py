"""Many cases on their way through the runs: read ahead, looked at together, kept one by one."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tqdm import tqdm

from brain_tumor.inference import case_files
from brain_tumor.inference.output_folder import Predictions
from brain_tumor.inference.predictor import Prediction, Predictor, summarise
from brain_tumor.io.prefetch import prefetch
from brain_tumor.scans import cases as cases_
from brain_tumor.scans.cases import Case, Slices

_SUFFIXES = {"overlays": ".png", "pages": ".html"}


def part(cases: Sequence[Case], text: str | None) -> list[Case]:
    """Choose the cases of a part such as "1/4", the same on every machine.

    Raises:
        ValueError: it is none.
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
) -> None:
    """Predict cases and keep each as soon as it is done; what has been kept is left alone.

    Pictures are looked at many at a time; while one batch is, the next is read and the last is written.
    """
    marks = predictor.run.task == "segmentation"

    def pictures(case: Case) -> dict[str, str]:
        # A single picture without a mask would only be copied.
        folders = {"overlays": overlays and (marks or not case.is_picture), "pages": pages}
        return {name: _SUFFIXES[name] for name, wanted in folders.items() if wanted}

    # Taken once, before anything is read: what changes from now on is done again by the next call.
    stamps = {case.name: case.stamp() for case in cases}
    todo = [case for case in cases if not written.done(case.name, stamps[case.name], pictures(case))]

    def read(batch: Sequence[Case]) -> list[tuple[Case, Slices | str]]:
        return [(case, cases_.try_read(case, preset, predictor.mixed)) for case in batch]

    def look(batch: Sequence[tuple[Case, Slices | str]]) -> list[tuple[Case, tuple[Slices, Prediction] | str]]:
        predictions = iter(predictor.predict([own for _, own in batch if not isinstance(own, str)]))
        return [(case, own if isinstance(own, str) else (own, next(predictions))) for case, own in batch]

    with ThreadPoolExecutor(2) as pool, tqdm(total=len(todo), desc="predicting", disable=None) as bar:
        for batch in prefetch(pool, look, prefetch(pool, read, _batches(todo, predictor.batch))):
            for case, found in batch:
                _write(written, case, stamps[case.name], found, pictures(case))
            bar.update(len(batch))


def _write(
    written: Predictions, case: Case, stamp: str, found: tuple[Slices, Prediction] | str, pictures: Mapping[str, str]
) -> None:
    """Keep what was read and said of a case, or why that could not be done."""
    if isinstance(found, str):
        written.fail(case.name, stamp, found, case.origin)
        return
    own, said = found
    row = {**summarise(own, said), "source": case.origin, "warnings": "; ".join([*own.warnings, *said.doubts])}
    files = []
    if said.masks is not None:
        try:
            files.append(case_files.write_mask(written.home("masks"), case, own, said.masks))
        except Exception:
            # The mask takes its header from the scan, which may have gone meanwhile. Anything else is not the scan's.
            if case.stamp() == stamp:
                raise
            written.fail(case.name, stamp, "has changed, or gone, while it was looked at", case.origin)
            return
    if "overlays" in pictures:
        files.append(written.home("overlays") / f"{case.name}.png")
        case_files.write_overlay(files[-1], own, said)
    if "pages" in pictures:
        files.append(written.home("pages") / f"{case.name}.html")
        case_files.write_page(files[-1], {"case": case.name, **row}, own, said)
    written.write(case.name, stamp, row, said.table, files)


def _batches(cases: Sequence[Case], size: int) -> list[list[Case]]:
    """Put pictures together, `size` at a time; a volume is a batch by itself."""
    pictures: list[Case] = []
    others: list[Case] = []
    for case in cases:
        (pictures if case.is_picture else others).append(case)
    together = range(0, len(pictures), size)
    return [pictures[start : start + size] for start in together] + [[case] for case in others]
