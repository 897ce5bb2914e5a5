"""Recognise FLAIR, T1, T1ce and T2 by what DICOM headers say of the acquisition, or by the names of NIfTI files."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brain_tumor.scans import dicom_file, dicom_frames, dicom_types, nifti_names
from brain_tumor.scans.dicom_file import number, words
from brain_tumor.scans.discovery import Source
from brain_tumor.scans.series_parts import hashed

if TYPE_CHECKING:
    from pydicom import Dataset

_FEWEST = 10  # slices of a series; fewer are taken for a localizer
_FLUID_TI, _SHORT_TI = 1400.0, 300.0  # ms: from the first on water is dark; below the second, fat is (STIR)
_LONG_TE, _SHORT_TE, _GRADIENT_TE = 60.0, 40.0, 12.0  # ms
_LONG_TR, _SHORT_TR = 1500.0, 1200.0  # ms, of spin echoes
_CONTRASTS = {  # AcquisitionContrast of enhanced files
    "FLUID_ATTENUATED": "flair", "T1": "t1", "T2": "t2", "STIR": "short inversion time, which darkens fat (STIR)",
    "DIFFUSION": "diffusion", "PERFUSION": "perfusion", "FLOW_ENCODED": "flow", "TOF": "angiography",
    "PROTON_DENSITY": "proton density", "T2_STAR": "susceptibility (T2*)", "TAGGING": "tagging",
    "MAGNETIZATION_TRANSFER": "magnetization transfer", "TEMPERATURE": "temperature", "ELASTOGRAPHY": "elastography",
}  # fmt: skip
_NO_AGENT = {"", "NO", "NONE", "N", "0", "NO CONTRAST", "WITHOUT", "NATIVE"}


@dataclass(frozen=True)
class Recognised:
    """What a scan shows.

    Attributes:
        possible: the sequences that it may be; () for none of the four.
        reason: the facts that say so, or why it is left out.
        subject: tells its patient and study from others; "" where nothing does.
        time: of the day at which it was acquired, as HHMMSS; None for unknown.
        contrast: whether its header names a contrast agent.
    """

    possible: tuple[str, ...]
    reason: str
    subject: str = ""
    time: float | None = None
    contrast: bool = False


def recognise(source: Source) -> Recognised:
    """Recognise the sequence of a scan, from its header or its name and never from its intensities."""
    if source.problem:
        return Recognised((), source.problem)
    if source.kind == "nifti":
        return Recognised(*nifti_names.sequence(source.paths[0]))
    if source.kind != "dicom":
        return Recognised((), "a picture, not a volume")
    header = dicom_file.read(source.paths[0], header_only=True)
    if source.frames:
        header = dicom_frames.split(header)[source.frames[0][0]]
    return _of_header(header, sum(map(len, source.frames)) or len(source.paths))


def _of_header(header: "Dataset", images: int) -> Recognised:
    persons = [str(header.get(name) or "") for name in ("PatientID", "StudyInstanceUID")]
    subject = hashed(tuple(persons)) if any(persons) else ""
    clock = str(header.get("AcquisitionTime") or str(header.get("AcquisitionDateTime") or "")[8:])
    time = float(clock) if clock.replace(".", "", 1).isdecimal() else None
    contrast = _has_contrast(header)
    reason = _left_out(header, images)
    possible, reason = ((), reason) if reason else _weighting(header)
    if possible == ("t1",) and contrast:
        possible = ("t1ce",)
    agent = "a contrast agent is named" if contrast else "no contrast agent is named"
    return Recognised(possible, f"{reason}, {agent}" if possible else reason, subject, time, contrast)


def _has_contrast(header: "Dataset") -> bool:
    usage = header.get("ContrastBolusUsageSequence")
    if usage:
        return any(words(item, "ContrastBolusAgentAdministered") == ["YES"] for item in usage)
    return " ".join(words(header, "ContrastBolusAgent")) not in _NO_AGENT or bool(
        header.get("ContrastBolusAgentSequence")
    )


def _left_out(header: "Dataset", images: int) -> str:
    """Return why a series is none of the four sequences, whatever its times are; "" for nothing."""
    types = words(header, "ImageType")
    computed = [dicom_types.COMPUTED[word] for word in types[2:] if word in dicom_types.COMPUTED]
    if computed:
        return computed[0]
    name = "".join(words(header, "SequenceName")).lstrip("*")
    scanning, variant = words(header, "ScanningSequence"), words(header, "SequenceVariant")
    marks = {
        "is a secondary capture": dicom_types.is_capture(header),
        "is derived from other images (ImageType DERIVED)": types[:1] == ["DERIVED"],
        "is a diffusion image": (number(header, "DiffusionBValue") or 0) > 0,
        "shows flow (angiography)": words(header, "AngioFlag") == ["Y"]
        or words(header, "TimeOfFlightContrast") == ["YES"]
        or name.startswith(("TOF", "FI3D", "FI2D", "PC")),
        "shows flow (phase contrast)": words(header, "PhaseContrast") == ["YES"],
        "is echo-planar (diffusion, perfusion or function)": "EP" in scanning
        or words(header, "EchoPlanarPulseSequence") == ["YES"]
        or name.startswith("EP"),
        "is a steady-state gradient echo": "GR" in scanning and "SS" in variant and "SP" not in variant,
        f"has {images} slice{'s' * (images != 1)} only, as a localizer has": images < _FEWEST,
    }
    return next((text for text, holds in marks.items() if holds), "")


def _weighting(header: "Dataset") -> tuple[tuple[str, ...], str]:
    """Return the sequences that an acquisition's times allow, and the facts, or why it is none."""
    contrast = next(iter(words(header, "AcquisitionContrast")), "")
    if contrast in _CONTRASTS:
        told = _CONTRASTS[contrast]
        named = told in {"flair", "t1", "t2"}
        return ((told,), f"AcquisitionContrast {contrast}") if named else ((), f"shows {told}")
    inversion, echo, repetition = (number(header, name) for name in ("InversionTime", "EchoTime", "RepetitionTime"))
    scanning = words(header, "ScanningSequence")
    times = (("TI", inversion or None), ("TE", echo), ("TR", repetition))
    facts = ", ".join(f"{name} {value:g} ms" for name, value in times if value is not None)
    facts = ", ".join(filter(None, [facts, "/".join(scanning)]))
    if echo is None or repetition is None:
        return (), "does not say its echo and repetition times"
    gradient = "GR" in scanning or words(header, "EchoPulseSequence") == ["GRADIENT"]
    if inversion:
        return _by_inversion(inversion, echo, facts)
    if "IR" in scanning or words(header, "InversionRecovery") == ["YES"]:
        # Without the inversion time nobody knows whether fluid or fat is dark.
        return ("flair", "t2") if echo >= _LONG_TE else ("t1",), f"{facts}, inversion recovery without its time"
    if gradient:
        if echo < _GRADIENT_TE:
            return ("t1",), f"{facts}: gradient echo with a short echo time"
        return (), f"{facts}: gradient echo with a long echo time (T2* or susceptibility)"
    if echo >= _LONG_TE and repetition >= _LONG_TR:
        known = bool(scanning) or "EchoPulseSequence" in header
        return ("t2",) if known else ("flair", "t2"), f"{facts}: long echo and repetition times"
    if echo < _SHORT_TE and repetition <= _SHORT_TR:
        return ("t1",), f"{facts}: short echo and repetition times"
    return (), f"{facts}: neither T1- nor T2-weighted (proton density?)"


def _by_inversion(inversion: float, echo: float, facts: str) -> tuple[tuple[str, ...], str]:
    if inversion < _SHORT_TI:
        return (), f"{facts}: short inversion time, which darkens fat (STIR)"
    if inversion >= _FLUID_TI and echo >= _LONG_TE:
        return ("flair",), f"{facts}: long inversion and echo times"
    if inversion < _FLUID_TI and echo < _SHORT_TE:
        return ("t1",), f"{facts}: prepared by an inversion, short echo time"
    return (), f"{facts}: times of none of the four sequences"
