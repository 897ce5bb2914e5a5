"""Show the page. Streamlit runs this file from top to bottom whenever a control changes."""

import json
import sys
from typing import Any

import streamlit as st
from PIL import Image

from brain_tumor.inference.opening import introduction
from brain_tumor.inference.prediction import summarise
from brain_tumor.inference.predictor import Predictor
from brain_tumor.page import answers, uploads, views
from brain_tumor.page.answers import Answer
from brain_tumor.page.uploads import Limits
from brain_tumor.page.views import View
from brain_tumor.scans import registration, volumes
from brain_tumor.scans.cases import SEQUENCES
from brain_tumor.scans.sequences import needed, shown

_PICTURES, _PHANTOM = "Pictures or a scan", "Phantom"
_NEEDED = {
    "flair": "FLAIR is needed; it stands in for others that are missing.",
    "t1ce": "T1 after contrast is needed: a run sees it alone.",
}
_TITLES = {"t1": "T1, before contrast", "flair": "FLAIR", "t1ce": "T1, after contrast", "t2": "T2"}
_COUNTS = {2: "Two", 3: "Three", 4: "Four"}
_NUMBERS = {
    "volume_ml": "volume of the mask: {:.1f} ml", "emptied_ml": "volume of masks that the detector emptied: {:.1f} ml",
    "diameter_mm": "longest diameter in a slice: {:.1f} mm", "across_mm": "across it: {:.1f} mm",
    "diameter_px": "longest diameter in a slice: {:.1f} pixels", "across_px": "across it: {:.1f} pixels",
    "side_approximate": "side of the midline, approximately: {}",
}  # fmt: skip
_NOTICE = """
<style>
  #notice {position: fixed; left: 0; right: 0; bottom: 0; z-index: 1000; padding: .45rem 1rem; text-align: center;
           background: #7a1f1f; color: white; font-size: .85rem; line-height: 1.25;
           pointer-events: none}
  .stMainBlockContainer {padding-top: 1rem; padding-bottom: 5rem}
  div[data-testid="stImage"] img {max-height: 62vh; object-fit: contain}
</style>
<div id="notice">
  Research software. It is not a medical device, and its output may not guide the care of a person.
</div>
"""


@st.cache_resource(max_entries=1, show_spinner="opening the run")
def _predictor(config: str) -> Predictor:
    return answers.open_runs(json.loads(config))


def show(config: dict[str, Any]) -> None:
    """Show the page."""
    st.set_page_config("brain_tumor", layout="wide")
    st.html(_NOTICE)
    predictor = _predictor(json.dumps(config))
    st.subheader(_heading(predictor))
    plain = f"{predictor.run.name}: {predictor.run.task}, trained on {predictor.run.dataset}"
    st.caption((introduction(predictor.runs).replace("\n", "  \n") or plain).replace("$", "\\$"))
    left, right = st.columns([1, 2], gap="large")
    with left:
        answer = _choose(predictor, Limits.of(config))
    if answer is None:
        right.caption(
            "Choose a case to predict. Files stay on this machine, and are deleted when the page is closed. The table "
            "of slices and, for localization, the mask can then be downloaded."
        )
        return
    with left:
        _show_summary(answer)
    with right:
        _show_slices(predictor, answer)


def _heading(predictor: Predictor) -> str:
    """Return what the runs do, in a word or two."""
    if predictor.run.task == "segmentation":
        return "Localization and tumour types" if predictor.types else "Localization"
    return "Tumour types" if predictor.run.positive is None else "Tumour detection"


def _choose(predictor: Predictor, limits: Limits) -> Answer | None:
    """Show where a case can come from, and return the answer for the chosen case; None if there is none yet."""
    count = len(shown([run.sequences for run in predictor.runs.values()]))
    sources = (_PICTURES, f"{_COUNTS.get(count, count)} sequences" if count > 1 else "One sequence", _PHANTOM)
    source = st.radio("What to predict", sources, horizontal=True, label_visibility="collapsed")
    try:
        if source == _PHANTOM:
            number = int(st.number_input("Phantom, drawn by a program", 0, 999, 0))
            return _cached(("phantom", number), lambda: answers.answer_phantom(predictor, number))
        return _answer_uploads(predictor, source != _PICTURES, limits)
    except ValueError as error:
        st.session_state.pop("answer", None)
        st.error(str(error).replace("$", "\\$"))
        return None


def _answer_uploads(predictor: Predictor, sequences: bool, limits: Limits) -> Answer | None:
    """Take files from the browser, and return the answer for the case that is chosen among them."""
    seen = shown([run.sequences for run in predictor.runs.values()])
    names = (
        {_TITLES.get(name, name): name for name in seen} if sequences else {"PNG, JPEG, TIFF, BMP, NIfTI or DICOM": ""}
    )
    state = st.session_state
    uploaded = {
        name: st.file_uploader(title, accept_multiple_files=True, key=f"{name}-{state.get('round', 0)}")
        for title, name in names.items()
    }
    if refused := state.pop("refused", None):
        raise ValueError(refused)
    uploaded = {name: files for name, files in uploaded.items() if files}
    if not uploaded:
        return None
    try:
        limits.check([file for files in uploaded.values() for file in files])
    except ValueError as error:
        # Another key makes another control, so that Streamlit deletes the files of the old one.
        state["round"], state["refused"] = state.get("round", 0) + 1, str(error)
        st.rerun()
    if not sequences:
        predictor.refuse_unnamed()
    elif missing := [name for name in needed(run.sequences for run in predictor.runs.values()) if name not in uploaded]:
        st.info(" ".join(_NEEDED[name] if seen == SEQUENCES else f"{name} is needed." for name in missing))
        return None
    preset = predictor.preset("")  # none where the runs leave the choice to the user
    preset = preset or str(st.selectbox("Scale a volume's intensities by its", volumes.PRESETS))
    register = "rigid" if sequences and st.toggle("Register the sequences to each other") else "none"
    registration.refuse(register)
    key = (preset, register, *(file.file_id for files in uploaded.values() for file in files))
    if state.get("names_of") != key:
        with uploads.opened(uploaded, limits) as cases:
            state["names"], state["names_of"] = list(cases), key
    chosen = st.selectbox("Case", state["names"]) if len(state["names"]) > 1 else state["names"][0]
    return _cached((*key, chosen), lambda: _answer_upload(predictor, uploaded, limits, chosen, preset, register))


def _cached(key: tuple[Any, ...], make: Any) -> Answer:
    """Return the current answer if it has this key, or make a new one; only one is kept in memory."""
    shown = st.session_state.get("answer")
    if shown is None or shown[0] != key:
        st.session_state.pop("answer", None)
        with st.spinner("predicting"):
            shown = key, make()
        st.session_state["answer"] = shown
    answer: Answer = shown[1]
    return answer


def _answer_upload(
    predictor: Predictor, uploaded: Any, limits: Limits, chosen: str, preset: str, register: str
) -> Answer:
    with uploads.opened(uploaded, limits) as cases:
        read = predictor.read(cases[chosen], preset, register)
        if isinstance(read, str):
            raise ValueError(f"{chosen}: {read}")
        return answers.answer(predictor, cases[chosen], read)


def _show_summary(answer: Answer) -> None:
    """Show the verdict, the warnings, and the downloads."""
    title, detail = answers.verdict(answer)
    st.metric("verdict", title)
    st.text(detail)
    for name, value in summarise(answer.slices, answer.prediction).items():
        kind, _, region = name.partition("(")
        if kind in _NUMBERS and value != "":
            of = f"{region[:-1]}, " if region else ""
            st.text(f"{of}{_NUMBERS[kind].format(value)}".replace("$", "\\$"))
    for remark in answer.remarks:
        st.warning(remark.replace("$", "\\$"))
    st.caption("Download")
    with st.container(horizontal=True):
        st.download_button("table of slices (CSV)", answers.table(answer), "slices.csv", "text/csv", on_click="ignore")
        if answer.mask:
            name, content = answer.mask
            st.download_button(f"mask ({name})", content, name, "application/octet-stream", on_click="ignore")


def _show_slices(predictor: Predictor, answer: Answer) -> None:
    """Show a slice with its mask or heat map over it, and the probability along the slices."""
    view = _choose_view(predictor, answer)
    count = len(views.along(answer.slices.images, view.plane))
    start = views.first(answer, view.plane)
    place = st.slider("slice", 0, count - 1, start, key=f"slice-{view.plane}") if count > 1 else 0
    st.image(Image.fromarray(views.picture(answer, view, place)), width="stretch")
    if answer.prediction.masks is None and answer.heat is None:
        st.caption("No heat map: it needs a run folder with a ResNet, and a class that means a tumour.")
    if len(answer.slices.images) > 1:
        st.altair_chart(answers.chart(answer, place if view.plane == "axial" else None), width="stretch")


def _choose_view(predictor: Predictor, answer: Answer) -> View:
    """Show the controls of how the case is drawn."""
    shown = views.channels(answer.slices, predictor.run.sequences)
    known = views.planes(answer.slices) if predictor.run.plane == "axial" else ("axial",)
    left, middle, right = st.columns(3)
    with left:
        sequence = st.selectbox("sequence", list(shown), format_func=lambda name: _TITLES.get(name, name))
        plane = st.selectbox("plane", known) if len(known) > 1 else known[0]
    with middle:
        window = st.slider("window: black and white at these grey levels", 0, 255, (0, 255))
    with right:
        has_overlay = answer.prediction.masks is not None or answer.heat is not None
        overlay = "mask" if answer.prediction.masks is not None else "heat map"
        opacity = st.slider(f"opacity of the {overlay}", 0, 100, 40) / 100 if has_overlay else 0.0
    return View(shown[sequence], window, plane, opacity)


if __name__ == "__main__":
    show(json.loads(sys.argv[1]))
