"""The page itself, which Streamlit runs from top to bottom at every change of a control."""

import json
import sys
from typing import Any

import streamlit as st
from PIL import Image

from brain_tumor.inference.prediction import summarise
from brain_tumor.inference.predictor import Predictor
from brain_tumor.page import answers, uploads
from brain_tumor.page.answers import Answer
from brain_tumor.page.uploads import Limits
from brain_tumor.scans import volumes
from brain_tumor.scans.cases import SEQUENCES, Case, needed, try_read

_SOURCES = ("Pictures or a scan", "Three sequences", "Phantom")
_NEEDED = {
    "flair": "FLAIR is needed; it stands in for others that are missing.",
    "t1ce": "T1 after contrast is needed: a run sees it alone.",
}
_TITLES = {"t1": "T1, before contrast", "flair": "FLAIR", "t1ce": "T1, after contrast"}
_AMOUNTS = {"volume_ml": "marked", "emptied_ml": "marked, but emptied by the detector"}
_NOTICE = """
<style>
  #notice {position: fixed; left: 0; right: 0; bottom: 0; z-index: 1000; padding: .45rem 1rem; text-align: center;
           background: #7a1f1f; color: white; font-size: .85rem; line-height: 1.25;
           pointer-events: none}
  .stMainBlockContainer {padding-top: 1rem; padding-bottom: 5rem}
  div[data-testid="stImage"] img {max-height: 62vh; object-fit: contain}
</style>
<div id="notice">
  Research software. It is not a medical device, and nothing it says may guide the care of a person.
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
    st.subheader("Is there a tumour, and where?")
    st.caption(f"{predictor.run.name}: {predictor.run.task}, trained on {predictor.run.dataset}".replace("$", "\\$"))
    left, right = st.columns([1, 2], gap="large")
    with left:
        answer = _choose(predictor, Limits.of(config))
    if answer is None:
        right.caption("Give something to predict. It stays on this machine, and is forgotten when the page is closed.")
        return
    with left:
        _sum_up(answer)
    with right:
        _show_slices(answer)


def _choose(predictor: Predictor, limits: Limits) -> Answer | None:
    source = st.radio("What to predict", _SOURCES, horizontal=True, label_visibility="collapsed")
    try:
        if source == "Phantom":
            number = int(st.number_input("Phantom, drawn by a program", 0, 999, 0))
            return _kept(("phantom", number), lambda: _of_phantom(predictor, number))
        return _uploaded(predictor, source == "Three sequences", limits)
    except ValueError as error:
        st.session_state.pop("answer", None)
        st.error(str(error).replace("$", "\\$"))
        return None


def _uploaded(predictor: Predictor, sequences: bool, limits: Limits) -> Answer | None:
    """Take files from the browser, and answer for the case that is chosen among them."""
    names = {_TITLES[name]: name for name in SEQUENCES} if sequences else {"PNG, JPEG, TIFF, BMP, NIfTI or DICOM": ""}
    state = st.session_state
    given = {
        name: st.file_uploader(title, accept_multiple_files=True, key=f"{name}-{state.get('round', 0)}")
        for title, name in names.items()
    }
    if refused := state.pop("refused", None):
        raise ValueError(refused)
    given = {name: files for name, files in given.items() if files}
    if not given:
        return None
    try:
        limits.check([file for files in given.values() for file in files])
    except ValueError as error:
        # Another key is another control: Streamlit forgets the files of the old one.
        state["round"], state["refused"] = state.get("round", 0) + 1, str(error)
        st.rerun()
    if not sequences:
        predictor.refuse_unnamed()
    elif lacking := [name for name in needed(run.sequences for run in predictor.runs.values()) if name not in given]:
        st.info(" ".join(_NEEDED[name] for name in lacking))
        return None
    preset = st.selectbox("A volume's intensities, scaled by its", volumes.PRESETS)
    key = (preset, *(file.file_id for files in given.values() for file in files))
    if state.get("names_of") != key:
        with uploads.opened(given, limits) as cases:
            state["names"], state["names_of"] = list(cases), key
    chosen = st.selectbox("Case", state["names"]) if len(state["names"]) > 1 else state["names"][0]
    return _kept((*key, chosen), lambda: _of_uploads(predictor, given, limits, chosen, preset))


def _kept(key: tuple[Any, ...], make: Any) -> Answer:
    """Return the answer that is shown already, or make it anew; only one is kept."""
    shown = st.session_state.get("answer")
    if shown is None or shown[0] != key:
        st.session_state.pop("answer", None)
        with st.spinner("predicting"):
            shown = key, make()
        st.session_state["answer"] = shown
    answer: Answer = shown[1]
    return answer


def _of_phantom(predictor: Predictor, number: int) -> Answer:
    return answers.answer(predictor, Case("phantom", {}), answers.phantom_slices(number))


def _of_uploads(predictor: Predictor, given: Any, limits: Limits, chosen: str, preset: str) -> Answer:
    with uploads.opened(given, limits) as cases:
        read = try_read(cases[chosen], preset, predictor.mixed)
        if isinstance(read, str):
            raise ValueError(f"{chosen}: {read}")
        return answers.answer(predictor, cases[chosen], read)


def _sum_up(answer: Answer) -> None:
    """Show the verdict, what the reader must know, and what can be downloaded."""
    title, detail = answers.verdict(answer)
    st.metric("verdict", title)
    st.text(detail)
    for name, value in summarise(answer.slices, answer.prediction).items():
        if name in _AMOUNTS:
            st.text(f"{_AMOUNTS[name]}: {value:.1f} ml")
    for remark in answer.remarks:
        st.warning(remark.replace("$", "\\$"))
    with st.container(horizontal=True):
        st.download_button("table of slices (CSV)", answers.table(answer), "slices.csv", "text/csv", on_click="ignore")
        if answer.mask:
            name, content = answer.mask
            st.download_button(f"mask ({name})", content, name, "application/octet-stream", on_click="ignore")


def _show_slices(answer: Answer) -> None:
    """Show a slice with what lies over it, and the probability along the slices."""
    count = len(answer.slices.images)
    over = answer.prediction.masks is not None or answer.heat is not None
    controls = st.columns(2)
    with controls[0]:
        place = st.slider("slice", 0, count - 1, answers.first(answer)) if count > 1 else 0
    with controls[1]:
        what = "mask" if answer.prediction.masks is not None else "heat map"
        opacity = st.slider(f"opacity of the {what}", 0, 100, 40) / 100 if over else 0.0
    st.image(Image.fromarray(answers.picture(answer, place, opacity)), width="stretch")
    if not over:
        st.caption("No heat map: it needs the run's folder, with a ResNet in it, and a class that means a tumour.")
    if count > 1:
        st.altair_chart(answers.chart(answer, place), width="stretch")


if __name__ == "__main__":
    show(json.loads(sys.argv[1]))
