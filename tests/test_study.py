"""A study as a scanner leaves it: what is taken for which sequence and why, what is left out, and who is asked."""

import json
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydicom import uid

from brain_tumor.io import archives
from brain_tumor.scans import study
from tests.conftest import Command
from tests.enhanced import enhanced
from tests.odd import HEAD, Given
from tests.odd_answers import ask
from tests.odd_dicom import dicom, document
from tests.odd_nifti import nifti

PERSON: dict[str, Any] = {"PatientID": "4711", "StudyInstanceUID": "1.2", "PatientName": "Doe^Jane"}
FLAIR: dict[str, Any] = {
    "InversionTime": 2500,
    "EchoTime": 120,
    "RepetitionTime": 9000,
    "ScanningSequence": ["SE", "IR"],
}
T1: dict[str, Any] = {"EchoTime": 10, "RepetitionTime": 500, "ScanningSequence": "SE"}
T2: dict[str, Any] = {"EchoTime": 100, "RepetitionTime": 5000, "ScanningSequence": "SE"}
T1CE = {**T1, "ContrastBolusAgent": "Gadobutrol"}
NAMES = ("flair", "t1", "t1ce", "t2")


def _series(folder: Path, **tags: Any) -> None:
    dicom(**{**PERSON, **tags})(folder, HEAD)


def _nifti(folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    nifti(name=name)(folder, HEAD)


def _four(folder: Path) -> None:
    """Write the four sequences; T2 is one enhanced file, FLAIR is compressed."""
    _series(folder / "a" / "1", **FLAIR, syntax=uid.RLELossless)
    _series(folder / "a" / "2", **T1)
    _series(folder / "b" / "3", **T1CE)
    enhanced(volumes=[{"echo": 100}], RepetitionTime=5000, EchoPulseSequence="SPIN", **PERSON)(folder / "b" / "4", HEAD)


def _table(folder: Path, **by_hand: str) -> tuple[dict[str, str], dict[str, str], study.Study]:
    """Return the folder of each sequence's files, the reason of each folder's scan, and the study."""
    found = study.find(folder, str(folder), by_hand, ("flair",), ("t1", "flair", "t1ce"))
    places = {entry.taken: entry.source.paths[0].parent.name for entry in found.entries if entry.taken}
    reasons = {entry.source.paths[0].parent.name: entry.recognised.reason for entry in found.entries}
    return places, reasons, found


def test_a_study_in_one_command(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    _four(folder)
    others: dict[str, dict[str, Any]] = {
        "localizer": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "places": [9, 10, 11]},
        "derived": {**T1, "ImageType": ["DERIVED", "SECONDARY", "MPR"]},
        "adc": {**T2, "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]},
        "diffusion": {"EchoTime": 90, "RepetitionTime": 6000, "ScanningSequence": "EP"},
        "angiography": {"EchoTime": 5, "RepetitionTime": 25, "ScanningSequence": "GR", "AngioFlag": "Y"},
        "susceptibility": {"EchoTime": 20, "RepetitionTime": 28, "ScanningSequence": "GR"},
        "ct": {"Modality": "CT", "SOPClassUID": uid.CTImageStorage},
        "capture": {"SOPClassUID": uid.SecondaryCaptureImageStorage, "ImagePositionPatient": None, "places": [3]},
    }
    for name, tags in others.items():
        _series(folder / name, **tags)
    document(uid.BasicTextSRStorage, "SR", "report.dcm")(folder, HEAD)
    document(uid.GrayscaleSoftcopyPresentationStateStorage, "PR", "state.dcm")(folder, HEAD)
    answer = ask(Given(study="."), folder)
    (case,) = answer.good.to_dict("records")
    assert case["case"] == "in"
    assert "replaced by flair" not in case["warnings"]
    assert float(case["volume_ml"]) == pytest.approx(HEAD.millilitres, rel=0.1)

    table = pd.read_csv(tmp_path / "out" / "study.csv", keep_default_na=False).set_index("files")
    taken = table[table["taken for"] != ""]
    assert list(taken["taken for"]) == list(NAMES)
    reasons = dict(zip(taken["taken for"], taken["reason"], strict=True))
    assert reasons["flair"].startswith("TI 2500 ms, TE 120 ms, TR 9000 ms, SE/IR: long inversion and echo times")
    assert "no contrast agent is named" in reasons["t1"]
    assert ", a contrast agent is named" in reasons["t1ce"]
    assert reasons["t2"].endswith("no run sees it")
    words = ("localizer", "ImageType DERIVED", "diffusion image", "echo-planar", "angiography", "susceptibility",
             "computed tomography", "secondary capture", "Text SR", "Presentation")  # fmt: skip
    left = " | ".join(table.loc[table["taken for"] == "", "reason"])
    assert not [word for word in words if word.lower() not in left.lower()], left
    assert len(table) == 4 + len(words)
    assert {"a/1/000.dcm and 19 more", "b/4/enhanced.dcm", "report.dcm"} <= set(table.index)
    for text in (answer.words, (tmp_path / "out" / "study.csv").read_text()):
        assert not [secret for secret in ("4711", "Doe", "Gadobutrol") if secret in text]
        assert "localizer" in text


@pytest.mark.parametrize(
    ("tags", "possible"),
    [
        (FLAIR, "flair"),
        ({**FLAIR, "InversionTime": 1650, "EchoTime": 393, "RepetitionTime": 5000}, "flair"),  # three-dimensional
        ({**FLAIR, "InversionTime": 160}, ""),  # fat is dark
        ({**FLAIR, "InversionTime": None}, "flair t2"),
        ({**FLAIR, "ContrastBolusAgent": "Gadobutrol"}, "flair"),
        (T1, "t1"),
        ({**T1, "ContrastBolusAgent": "NONE"}, "t1"),
        (T1CE, "t1ce"),
        ({"InversionTime": 900, "EchoTime": 3, "RepetitionTime": 2300, "ScanningSequence": ["GR", "IR"]}, "t1"),
        ({"InversionTime": 860, "EchoTime": 9, "RepetitionTime": 2000, "ScanningSequence": ["SE", "IR"]}, "t1"),
        ({"EchoTime": 4, "RepetitionTime": 9, "ScanningSequence": "GR", "SequenceVariant": ["SS", "SP"]}, "t1"),
        ({"EchoTime": 2, "RepetitionTime": 4, "ScanningSequence": "GR", "SequenceVariant": "SS"}, ""),
        (T2, "t2"),
        ({**T2, "ScanningSequence": None}, "flair t2"),
        ({**T2, "EchoTime": 15}, ""),  # proton density
        ({"ScanningSequence": "SE"}, ""),
    ],
)
def test_sequences_are_recognised_by_their_times(tags: dict[str, Any], possible: str, tmp_path: Path) -> None:
    _series(tmp_path, **{name: value for name, value in tags.items() if value is not None}, places=range(10))
    _, _, found = _table(tmp_path)
    assert [" ".join(entry.recognised.possible) for entry in found.entries] == [possible]


def test_two_candidates_are_named_and_chosen_by_hand(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    _four(folder)
    _series(folder / "again", **T1)
    answer = ask(Given(study="."), folder)
    assert answer.cases.empty
    error = next(line for line in answer.words.splitlines() if line.startswith("error: "))
    first, second = (
        entry.source for entry in study.find(folder, ".", {}, (), ()).entries if entry.recognised.possible == ("t1",)
    )
    assert error.startswith("error: study=.: 2 scans may be t1: ")
    assert {first.case, second.case} <= set(error.replace("(", " ").split())
    assert error.endswith("choose: sequences.t1=SERIES, or sequences.t1=none")
    for value in (second.case, "again", str(folder / "again")):
        places, reasons, _ = _table(folder, t1=value)
        assert places["t1"] == ("again" if value != second.case else second.paths[0].parent.name)
        assert reasons[places["t1"]].startswith("chosen by hand; TE 10 ms")
    without = ask(Given(study=".", sequences={"t1": "none"}), folder)
    assert "t1 is missing and replaced by flair" in without.good["warnings"].iloc[0]
    with pytest.raises(ValueError, match=r"sequences\.flair: the same scan as sequences\.t1"):
        _table(folder, flair=second.case, t1=second.case)
    with pytest.raises(ValueError, match=r"sequences\.t1=typo: no series of the study, and no such file"):
        _table(folder, t1="typo")


def test_two_candidates_for_t2_stop_nobody(tmp_path: Path) -> None:
    _four(tmp_path)
    _series(tmp_path / "again", **T2)
    places, _, found = _table(tmp_path)
    assert set(places) == {"flair", "t1", "t1ce"}
    assert found.problem == ""
    seen = study.find(tmp_path, "in", {}, ("flair", "t2"), ("flair", "t2"))  # of a run that sees T2
    assert seen.problem.startswith("study=in: 2 scans may be t2: ")
    seen = study.find(tmp_path, "in", {"t2": "again", "t1": "none"}, ("flair", "t2"), ("flair", "t2"))
    assert (list(seen.sources), seen.problem) == (["flair", "t2"], "")


def test_what_only_may_be_a_sequence_is_asked_for(tmp_path: Path) -> None:
    _series(tmp_path / "flair", **FLAIR)
    _series(tmp_path / "first", **T1CE, AcquisitionTime="100000")
    _series(tmp_path / "later", **T1, AcquisitionTime="101500.5")
    _, reasons, found = _table(tmp_path)
    assert "acquired after a scan with contrast agent" in reasons["later"]
    assert found.problem.partition(": ")[2].startswith("one scan may be t1: ")
    _series(tmp_path / "early", **T1, AcquisitionTime="095500")
    places, _, found = _table(tmp_path)
    assert (places["t1"], found.problem) == ("early", "")


def test_echoes_of_one_file_are_told_apart(tmp_path: Path) -> None:
    volumes = [{"echo": 15}, {"echo": 100}]
    _series(tmp_path / "flair", **FLAIR)
    enhanced(volumes=volumes, RepetitionTime=5000, EchoPulseSequence="SPIN", **PERSON)(tmp_path / "dual", HEAD)
    _, _, found = _table(tmp_path)
    assert sorted(entry.recognised.possible for entry in found.entries) == [(), ("flair",), ("t2",)]


def test_patients_are_not_mixed(tmp_path: Path) -> None:
    _series(tmp_path / "flair", **FLAIR)
    _series(tmp_path / "t1", **{**T1, "PatientID": "4712"})
    assert "its sequences are of 2 patients or studies (flair=" in _table(tmp_path)[2].problem
    assert _table(tmp_path, t1="none")[2].problem == ""
    assert _table(tmp_path, t1="t1", flair="flair")[2].problem == ""


def test_a_damaged_header_hides_no_other_scan(tmp_path: Path) -> None:
    _series(tmp_path / "flair", **FLAIR)
    _series(tmp_path / "damaged", **T1, places=[3])
    (path,) = (tmp_path / "damaged").iterdir()
    content = path.read_bytes()
    assert content.count(b"\x18\0\x80\0DS") == 1  # the repetition time
    path.write_bytes(content.replace(b"\x18\0\x80\0DS", b"\x18\0\x80\0Dd"))
    places, reasons, found = _table(tmp_path)
    assert (places, found.problem) == ({"flair": "flair"}, "")
    assert reasons["damaged"] == "its header cannot be read (NotImplementedError)"


def test_a_study_without_flair_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    _series(folder, **T1)
    assert (
        "error: study=.: has no scan for flair, which the runs need; choose: sequences.flair="
        in ask(Given(study="."), folder).words
    )


@pytest.mark.parametrize(
    "files",
    [
        {"P_1_flair": "flair", "P_1_t1": "t1", "P_1_t1ce": "t1ce", "P_1_t2": "t2", "P_1_seg": ""},  # BraTS
        {"BraTS-GLI-1-0-t2f": "flair", "BraTS-GLI-1-0-t1n": "t1", "BraTS-GLI-1-0-t1c": "t1ce",
         "BraTS-GLI-1-0-t2w": "t2"},
        {"sub-1_ses-2_FLAIR": "flair", "sub-1_ses-2_T1w": "t1", "sub-1_ses-2_ce-gadolinium_T1w": "t1ce",
         "sub-1_ses-2_T2w": "t2", "sub-1_ses-2_dwi": "", "sub-1_ses-2_desc-brain_mask": ""},
        {"P_1_0000": "flair", "P_1_0001": "t1", "P_1_0002": "t1ce", "P_1_0003": "t2", "P_1_0004": ""},  # nnU-Net
    ],
)  # fmt: skip
def test_names_of_nifti_are_read(files: dict[str, str], tmp_path: Path) -> None:
    for name in files:
        _nifti(tmp_path / "imagesTr", f"{name}.nii.gz")
    channels = dict(enumerate(["FLAIR", "T1w", "T1-Gd", "T2w", "CT"]))
    (tmp_path / "dataset.json").write_text(
        json.dumps({"channel_names": {str(key): name for key, name in channels.items()}})
    )
    _, _, found = _table(tmp_path)
    assert {entry.source.case: entry.taken for entry in found.entries} == files
    assert found.problem == ""


def test_channels_without_their_names_are_not_guessed(tmp_path: Path) -> None:
    _nifti(tmp_path / "a" / "b" / "c", "P_0000.nii.gz")
    _, reasons, _ = _table(tmp_path)
    assert reasons["c"] == "nnU-Net's channel 0, and no dataset.json says what that is"


def test_archives_are_studies(tmp_path: Path) -> None:
    _four(tmp_path / "scan")
    expected = ask(Given(study="scan", output="out"), tmp_path)
    for name, packing in (("scan.zip", "zip"), ("scan.tar.gz", "gztar")):
        shutil.make_archive(str(tmp_path / "scan"), packing, tmp_path / "scan")
        for _ in range(2):  # the second time it goes on, and predicts nothing again
            answer = ask(Given(study=name, output=f"out-{packing}"), tmp_path)
            columns = ["case", "volume_ml", "warnings"]
            pd.testing.assert_frame_equal(answer.good[columns], expected.good[columns])
        assert not (tmp_path / f"out-{packing}" / ".unpacked").exists()
        assert answer.seen.size == 0


def test_archives_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def error(name: str) -> str:
        return next(
            line for line in ask(Given(study=name, output="out"), tmp_path).words.splitlines() if "error" in line
        )

    with zipfile.ZipFile(tmp_path / "out.zip", "w") as opened:
        opened.writestr("../../outside", "a")
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    shutil.copy(tmp_path / "out.zip", tmp_path / "cut.zip")
    assert "a name in it leads out of its folder" in error("out.zip")
    assert "holds no scan" in error("link.tar")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a", bytes(10**6))
    monkeypatch.setattr(archives, "_MOST_BYTES", 10**5)
    assert "unpacks to more than 100,000 bytes" in error("bomb.zip")
    monkeypatch.setattr(archives, "_MOST_FILES", 0)
    assert "holds more than 0 files" in error("bomb.zip")
    content = bytearray((tmp_path / "bomb.zip").read_bytes())
    content[40:60] = bytes(20)
    (tmp_path / "cut.zip").write_bytes(content)
    monkeypatch.setattr(archives, "_MOST_FILES", 10)
    assert "is damaged" in error("cut.zip")
    assert not (tmp_path.parent / "outside").exists()
    assert not (tmp_path / "out").exists()
    assert "no such folder, and no zip or tar file" in error("none")


def test_the_command_takes_a_study(command: Command, segmenter: Path, tmp_path: Path) -> None:
    _four(tmp_path / "scan")
    done = command("predict", f"run={segmenter}", "study=scan", cwd=tmp_path)
    assert done.stdout.startswith("flair     dicom-")
    assert (tmp_path / "predictions" / "masks" / "scan.nii.gz").exists()
    _series(tmp_path / "scan" / "again", **FLAIR)
    failed = command("predict", f"run={segmenter}", "study=scan", cwd=tmp_path, check=False)
    assert failed.returncode != 0
    last = failed.stderr.splitlines()[-1]
    assert last.startswith("error: study=scan: 2 scans may be flair: dicom-")
    assert last.endswith("choose: sequences.flair=SERIES")
