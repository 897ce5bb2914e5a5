"""The page says what predict says, takes no more than it may, and tells nobody."""

import contextlib
import gzip
import io
import json
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nibabel
import numpy as np
import pandas as pd
import psutil
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, MRImageStorage
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from streamlit.testing.v1 import AppTest

from brain_tumor.datasets import phantom, phantom3d
from brain_tumor.inference.prediction import Prediction
from brain_tumor.page import __main__ as page
from brain_tumor.page import answers, app, uploads, views
from brain_tumor.page.answers import Answer
from brain_tumor.page.uploads import Limits
from brain_tumor.page.views import View
from brain_tumor.scans import cases
from brain_tumor.scans.cases import Slices
from brain_tumor.scans.volumes import Grid, Volume
from tests.conftest import Command, environment

LIMITS = Limits(files=20, megabytes=8, voxels=2**22)
CHROMIUM = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
WINDOW = "window: black and white at these grey levels"
OURS = "brain_tumor-*"  # among what torch keeps there
Files = list[tuple[str, bytes, str]]


class Sent(io.BytesIO):
    """A file as Streamlit hands it on."""

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(content)
        self.name, self.size = name, len(content)


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    """A phantom's slices (n, 256, 256, 3); one voxel of each channel is 255, so that scaling changes nothing."""
    drawn = np.stack([image for image, _ in phantom.draw_case(0, 1)])[8:20]
    drawn[0, 0, 0] = 255
    return drawn


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go in this test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def _png(image: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "png")
    return content.getvalue()


def _nifti(values: NDArray[Any]) -> bytes:
    image = nibabel.Nifti1Image(values, np.diag([0.9, 0.9, 5, 1]))  # type: ignore[no-untyped-call]
    return gzip.compress(image.to_bytes())


def _config(run: Path, **changes: Any) -> dict[str, Any]:
    limits = {"max_files": LIMITS.files, "max_megabytes": LIMITS.megabytes, "max_voxels": LIMITS.voxels}
    return {
        "run": str(run),
        "detector": None,
        "threshold": None,
        "keep_from": None,
        "trusted": [],
        "port": 0,
        **limits,
        **changes,
    }


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Open the page on a run."""

    def start(run: Path, **changes: Any) -> AppTest:
        monkeypatch.setattr(sys, "argv", ["app.py", json.dumps(_config(run, **changes))])
        found = AppTest.from_file(str(app.__file__), default_timeout=120).run()
        assert not found.exception
        return found

    return start


def test_a_phantom_is_marked(segmenter: Path, opened: Callable[..., AppTest], temporary: Path) -> None:
    found = opened(segmenter)
    assert not found.metric
    found.radio[0].set_value("Phantom").run()
    assert found.metric[0].value in {"tumour", "no tumour"}
    assert [own.label for own in found.slider] == [WINDOW, "opacity of the mask", "slice"]
    assert found.selectbox[0].options == ["FLAIR", "T1, before contrast", "T1, after contrast"]
    assert [own.label for own in found.download_button] == ["table of slices (CSV)", "mask (mask.nii.gz)"]
    before = found.text[0].value
    found.number_input[0].set_value(1).run()
    assert found.text[0].value != before
    found.slider[2].set_value(3).run()
    for plane in ("coronal", "sagittal"):
        found.selectbox[1].set_value(plane).run()
        assert found.slider[2].max == 255
    assert not found.exception
    assert "not a medical device" in found.get("html")[0].proto.body
    assert not list(temporary.glob(OURS))


def test_a_case_is_drawn_in_three_planes() -> None:
    """A bright voxel of one sequence, at the patient's left, in front and high up, stands where a radiologist looks."""
    images = np.zeros((10, 40, 30, 3), np.uint8)
    images[8, 5, 25, 1] = 200
    grid = Grid((30, 40, 10), (0, 1, 2), (True, True, False), (3.0, 1.0, 1.0), np.arange(10, dtype=np.float64) * 3)
    volume = Volume(np.zeros((30, 40, 10), np.float32), np.diag([1.0, 1.0, 3.0, 1.0]))
    slices = Slices(images, cases.SEQUENCES, (1.0, 1.0), volume, grid)
    mask = (images[..., 1] > 0).astype(np.uint8)
    table = pd.DataFrame({"p(no tumour)": np.zeros(10), "p(tumour)": np.ones(10)})
    answer = Answer(slices, Prediction(table, mask, ["no tumour", "tumour"], "tumour", 0.5), None, None, [])
    assert views.channels(slices, ()) == {"flair": 1, "t1": 0}  # T1 after contrast shows what T1 does
    assert views.planes(slices) == ("axial", "coronal", "sagittal")
    for plane, place, at in (("axial", 8, (5, 25)), ("coronal", 5, (4, 25)), ("sagittal", 25, (4, 5))):
        assert views.first(answer, plane) == place
        drawn = views.picture(answer, View(1, (0, 200), plane, 0.0), place)
        height = 40 if plane == "axial" else 30  # ten slices of 3 mm
        assert drawn.shape == (height, 40 if plane == "sagittal" else 30, 3)
        found = np.unravel_index(drawn[..., 0].argmax(), drawn.shape[:2])  # the letters stand lower
        assert tuple(int(value) for value in found) == at
    picture = Slices(images[:1])
    assert views.planes(picture) == ("axial",)
    assert set(views.channels(picture, ())) == {"channel 1"}


def test_what_is_sent_is_answered_as_predict_does(
    detector: Path, pictures: NDArray[np.uint8], opened: Callable[..., AppTest], temporary: Path, tmp_path: Path
) -> None:
    found = opened(detector)
    sent: Files = [("../../etc/pass$wd.png", _png(pictures[0]), "image/png"), ("b.bin", _png(pictures[5]), "")]
    found.file_uploader[0].set_value([*sent, ("c.png", b"no picture", "")]).run()
    assert not found.exception
    assert not list(temporary.glob(OURS))
    assert found.selectbox[1].options == ["../../etc/pass$wd.png", "b.bin", "c.png"]
    Image.fromarray(pictures[0]).save(tmp_path / "a.png")
    predictor = answers.open_runs(_config(detector))
    slices = cases.read(cases.find(str(tmp_path / "a.png"), {})[0][0], "maximum", mixed=True)
    (expected,) = predictor.predict([slices])
    assert f"tumour {expected.table['p(tumour)'][0]:.2f}" in found.text[0].value
    assert [own.label for own in found.slider] == [WINDOW, "opacity of the heat map"]
    found.selectbox[1].set_value("c.png").run()
    assert "c.png: neither an image nor NIfTI" in found.error[0].value
    assert not found.metric
    found.file_uploader[0].set_value([(f"{place}.png", b"x", "") for place in range(LIMITS.files + 1)]).run()
    assert "21 files are more than the 20" in found.error[0].value
    assert not found.file_uploader[0].value, "they are forgotten"


def test_volumes_stand_on_their_grid(
    segmenter: Path, pictures: NDArray[np.uint8], opened: Callable[..., AppTest], temporary: Path
) -> None:
    found = opened(segmenter)
    found.radio[0].set_value("Three sequences").run()
    volumes = [np.ascontiguousarray(pictures[..., place].transpose(2, 1, 0)[::-1, ::-1]) for place in range(3)]
    found.file_uploader[0].set_value(("t1.nii.gz", _nifti(volumes[0]), "")).run()
    assert "FLAIR is needed" in found.info[0].value
    found.file_uploader[1].set_value(("flair.nii.gz", _nifti(volumes[1]), "")).run()
    assert [own.value for own in found.warning] == ["t1ce is missing and replaced by flair, as in the LGG data"]
    kept = found.session_state["answer"][1]
    np.testing.assert_array_equal(kept.slices.images[..., 0], pictures[..., 0])
    name, content = kept.mask
    assert name == "mask.nii.gz"
    mask: Any = nibabel.Nifti1Image.from_bytes(gzip.decompress(content))
    np.testing.assert_allclose(mask.affine, np.diag([0.9, 0.9, 5, 1]), rtol=1e-6)
    assert np.asarray(mask.dataobj).sum() == kept.prediction.masks.sum()
    assert not list(temporary.glob(OURS))
    sent = [("a.nii.gz", _nifti(volumes[2]), ""), ("b.nii.gz", _nifti(volumes[2]), "")]
    found.file_uploader[2].set_value(sent).run()
    assert "t1ce: holds 2 scans; give one" in found.error[0].value


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files of four sequences of a phantom."""
    folder = tmp_path_factory.mktemp("four")
    phantom3d.write_case(folder, 1, (40, 36, 16), 0, held_out=True)
    return sorted((folder / "imagesTs").iterdir())


def test_four_sequences_have_a_mask_of_labels(
    volume_segmenter: Path, four: list[Path], opened: Callable[..., AppTest], temporary: Path
) -> None:
    found = opened(volume_segmenter)
    assert found.radio[0].options == ["Pictures or a scan", "Four sequences", "Phantom"]
    found.radio[0].set_value("Phantom").run()
    assert not found.error
    assert found.metric[0].value in {"tumour", "no tumour"}
    said = [own.value.partition(":")[0] for own in found.text]
    volumes = [text for text in said if text.endswith("volume of the mask")]
    assert volumes == [f"{of}volume of the mask" for of in ("", "whole, ", "core, ", "enhancing, ")]
    assert found.session_state["answer"][1].slices.images.shape == (32, 96, 96, 4)

    found.radio[0].set_value("Four sequences").run()
    sent = [(path.name, path.read_bytes(), "") for path in four]
    for place in range(3):
        found.file_uploader[place].set_value(sent[place]).run()
    assert found.info[0].value == "flair is needed."
    found.file_uploader[3].set_value(sent[3]).run()
    assert not found.error
    assert [own.label for own in found.selectbox] == ["sequence", "plane"], "the run says how it is scaled"
    name, content = found.session_state["answer"][1].mask
    assert name == "mask.nii.gz"
    mask: Any = nibabel.Nifti1Image.from_bytes(gzip.decompress(content))
    scan: Any = nibabel.load(four[0])
    np.testing.assert_array_equal(mask.affine, scan.affine)
    assert mask.shape == scan.shape
    assert set(np.unique(mask.dataobj)) <= {0, 1, 2, 3}
    assert not list(temporary.glob(OURS))


@pytest.fixture
def after_contrast(detector: Path, tmp_path: Path) -> Path:
    """The small classifier, as if it had been trained on T1 after contrast alone."""
    copy = tmp_path / "after contrast"
    shutil.copytree(detector, copy)
    record = json.loads((copy / "results.json").read_text())
    record["data"] |= {"kind": "cheng", "sequences": ["t1ce"] * 3}
    (copy / "results.json").write_text(json.dumps(record))
    return copy


def test_each_run_sees_its_own_sequences(
    segmenter: Path, after_contrast: Path, pictures: NDArray[np.uint8], opened: Callable[..., AppTest]
) -> None:
    volumes = [np.ascontiguousarray(pictures[..., place].transpose(2, 1, 0)[::-1, ::-1]) for place in range(3)]
    found = opened(after_contrast)
    found.radio[0].set_value("Three sequences").run()
    found.file_uploader[1].set_value(("flair.nii.gz", _nifti(volumes[1]), "")).run()
    assert found.info[0].value == "T1 after contrast is needed: a run sees it alone."
    assert not found.metric, "FLAIR is no T1 after contrast"
    found = opened(after_contrast)
    found.radio[0].set_value("Three sequences").run()
    found.file_uploader[2].set_value(("t1ce.nii.gz", _nifti(volumes[2]), "")).run()
    assert found.metric
    np.testing.assert_array_equal(found.session_state["answer"][1].slices.images[..., 0], pictures[..., 2])
    found = opened(segmenter, detector=str(after_contrast))
    found.file_uploader[0].set_value([("a.png", _png(pictures[0]), "image/png")]).run()
    assert "sees t1ce, but run=" in found.error[0].value
    assert "instead of input=..., give sequences.t1=..." in found.error[0].value
    assert not found.metric


def _hostile() -> dict[str, bytes]:
    header: Any = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).header  # type: ignore[no-untyped-call]
    header["dim"][1:4] = 30000
    huge = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(huge)) + b"IHDR" + huge + struct.pack(">I", zlib.crc32(b"IHDR" + huge))
    deflated = Dataset()
    deflated.file_meta = FileMetaDataset()
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    deflated.file_meta.MediaStorageSOPClassUID = deflated.SOPClassUID = MRImageStorage
    deflated.file_meta.MediaStorageSOPInstanceUID = deflated.SOPInstanceUID = pydicom.uid.generate_uid()
    deflated.Rows = deflated.Columns = 2048
    deflated.BitsAllocated = 16
    deflated.PixelData = b"\0" * (2 * 2048 * 2048)
    content = io.BytesIO()
    deflated.save_as(content, enforce_file_format=True)
    return {
        "voxels.nii.gz": gzip.compress(header.binaryblock + b"\0" * 4_000_000),
        "pixels.png": b"\x89PNG\r\n\x1a\n" + chunk,
        "deflated.dcm": content.getvalue(),
        "packed.dcm.gz": gzip.compress(content.getvalue()),
        "no preamble.dcm": content.getvalue()[132:],
        "../../../outside.png": b"\x89PNG\r\n\x1a\n",
        "/etc/cron.d/x": b"",
        "a\0b.nii": b"\x1f\x8b" + b"\0" * 100,
    }


def test_hostile_files_have_a_reason_and_no_place(temporary: Path) -> None:
    hostile = _hostile()
    before = psutil.Process().memory_info().rss
    with uploads.opened({"": [Sent(name, content) for name, content in hostile.items()]}, LIMITS) as found:
        names = sorted(path.name for path in temporary.rglob("*") if path.is_file())
        assert all(name.partition(".")[0].isdecimal() for name in names)
        reasons = {name: cases.try_read(case, "maximum", mixed=True) for name, case in found.items()}
    assert set(reasons) == set(hostile)
    assert all(isinstance(reason, str) and len(reason) > 10 for reason in reasons.values())
    assert "voxels, more than the" in str(reasons["voxels.nii.gz"])
    assert "deflated" in str(reasons["deflated.dcm"])
    assert "a packed DICOM file" in str(reasons["packed.dcm.gz"])
    assert psutil.Process().memory_info().rss - before < 100e6
    assert not list(temporary.glob(OURS))
    too_many = [Sent(f"{place}.png", b"") for place in range(10_000)]
    for given, message in ((too_many, "10000 files"), ([Sent("a", b"\0" * (9 * 2**20))], "9 MB are more than the 8")):
        with pytest.raises(ValueError, match=message), uploads.opened({"": given}, LIMITS):
            pass


def test_it_is_served_to_this_machine_alone() -> None:
    settings = page._settings(_config(Path("x"), port=1))
    for wanted in (
        "--server.address=127.0.0.1", "--browser.gatherUsageStats=false", "--server.enableXsrfProtection=true",
        "--server.maxUploadSize=8", "--server.allowedHosts=127.0.0.1",
    ):  # fmt: skip
        assert wanted in settings


def test_a_wrong_run_ends_in_one_line(tmp_path: Path, command: Command) -> None:
    (tmp_path / "a.onnx").write_text("no model")
    finished = command("page", "run=a.onnx", cwd=tmp_path, check=False)
    assert finished.returncode == 1
    assert finished.stderr.strip().splitlines()[-1].startswith("error: a.onnx: damaged, or no ONNX file")


class Browser:
    """Debian's Chromium on a page that a process of its own serves."""

    def __init__(self, driver: Any, url: str, process: subprocess.Popen[str], downloads: Path) -> None:
        self.driver, self.url, self.process, self.downloads = driver, url, process, downloads

    def find(self, selector: str, text: str = "") -> list[Any]:
        return [own for own in self.driver.find_elements("css selector", selector) if text in own.text]

    def wait(self, selector: str, text: str = "", seconds: float = 120) -> Any:
        """Wait until there is such an element, and return the first."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            try:
                if found := self.find(selector, text):
                    return found[0]
            except StaleElementReferenceException:
                pass  # the page was being drawn anew
            time.sleep(0.1)
        raise AssertionError(f"no {selector} with {text!r}: {self.driver.find_element('tag name', 'body').text}")

    def open(self) -> None:
        self.driver.get(self.url)
        self.wait("[data-testid=stFileUploader]")

    def send(self, *paths: Path) -> None:
        box = self.driver.find_element("css selector", "[data-testid=stFileUploader] input[type=file]")
        box.send_keys("\n".join(map(str, paths)))

    def download(self, label: str) -> Path:
        """Press a button, and return the file that has come."""
        before = set(self.downloads.iterdir())
        button = self.wait("[data-testid=stDownloadButton] button", label)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
        button.click()
        for _ in range(200):
            # Chromium writes under a hidden name, then under one of .crdownload, then under the file's own.
            new = [path for path in set(self.downloads.iterdir()) - before if not path.name.startswith(".")]
            if new and new[0].suffix != ".crdownload":
                return new[0]
            time.sleep(0.1)
        raise AssertionError(f"{label}: nothing has come")

    def hosts(self) -> set[str | None]:
        """Name the hosts that anything was asked of."""
        told = [json.loads(line["message"])["message"] for line in self.driver.get_log("performance")]
        urls = [own["params"].get("request", {}).get("url") or own["params"].get("url", "") for own in told]
        return {urlsplit(url).hostname for url in urls if url.startswith(("http", "ws"))}

    @property
    def memory(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)


@pytest.fixture
def browse(tmp_path: Path, cache_dir: Path) -> Iterator[Callable[..., Browser]]:
    """Serve the page of a run, and open it."""
    if not all(path.exists() for path in CHROMIUM):
        pytest.skip("needs Debian's chromium and chromium-driver")
    with contextlib.ExitStack() as ending:

        def start(run: Path, *arguments: str) -> Browser:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            (tmp_path / "temporary").mkdir()
            process = subprocess.Popen(
                [sys.executable, "-m", "brain_tumor.page", f"run={run}", f"port={port}", *arguments],
                cwd=tmp_path, env={**environment(cache_dir), "TMPDIR": str(tmp_path / "temporary")},
                stdout=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            ending.callback(process.wait)
            ending.callback(process.terminate)
            options = webdriver.ChromeOptions()
            options.binary_location = str(CHROMIUM[0])
            for flag in (
                "headless=new", "no-sandbox", "disable-gpu", "disable-background-networking", "no-first-run",
                "disable-component-update", "disable-sync", "window-size=1400,900",
            ):  # fmt: skip
                options.add_argument(f"--{flag}")
            (tmp_path / "downloads").mkdir()
            options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path / "downloads")})
            options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
            driver = webdriver.Chrome(options, webdriver.ChromeService(str(CHROMIUM[1])))
            ending.callback(driver.quit)
            for _ in range(2000):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                assert process.poll() is None, "the page has ended"
                time.sleep(0.1)
            found = Browser(driver, f"http://127.0.0.1:{port}/", process, tmp_path / "downloads")
            found.open()
            return found

        yield start


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_in_a_browser(
    segmenter: Path, pictures: NDArray[np.uint8], browse: Callable[..., Browser], tmp_path: Path
) -> None:
    browser = browse(segmenter, "max_files=20")
    flair = np.ascontiguousarray(pictures[..., 1].transpose(2, 1, 0)[::-1, ::-1])
    (tmp_path / "scan.nii.gz").write_bytes(_nifti(flair))
    browser.send(tmp_path / "scan.nii.gz")
    browser.wait("[data-testid=stMetric]", "tumour")
    browser.wait("[data-testid=stImage] img")
    table = pd.read_csv(browser.download("table of slices"))
    assert len(table) == len(pictures)
    mask: Any = nibabel.load(browser.download("mask (mask.nii.gz)"))
    assert np.asarray(mask.dataobj).sum() == table["area_px"].sum()
    for width in (1400, 420):
        browser.driver.set_window_size(width, 900)
        notice = browser.wait("#notice", "not a medical device").rect
        inside = browser.driver.execute_script("return [window.innerWidth, window.innerHeight]")
        assert notice["y"] + notice["height"] <= inside[1] + 1
        wide = browser.driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= inside[0], "nothing has to be scrolled sideways"
    many = [tmp_path / f"many{place}.png" for place in range(60)]
    for path in many:
        path.write_bytes(b"x")
    browser.open()
    browser.send(*many)
    browser.wait("[data-testid=stAlert]", "60 files are more than the 20")
    names = enumerate(_hostile().items())
    hostile = {f"{place}-{Path(name).name}".replace("\0", ""): content for place, (name, content) in names}
    for name, content in hostile.items():
        (tmp_path / name).write_bytes(content)
        browser.open()
        browser.send(tmp_path / name)
        browser.wait("[data-testid=stAlert]", name)
        assert not browser.find("[data-testid=stMetric]")
    assert browser.hosts() == {"127.0.0.1"}
    assert not list((tmp_path / "temporary").glob(OURS))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_four_sequences_in_a_browser(volume_segmenter: Path, four: list[Path], browse: Callable[..., Browser]) -> None:
    browser = browse(volume_segmenter)
    browser.wait("[data-testid=stRadio] label", "Phantom").click()
    browser.wait("[data-testid=stText]", "core, volume of the mask")
    browser.wait("[data-testid=stImage] img")
    browser.wait("[data-testid=stRadio] label", "Four sequences").click()
    browser.wait("[data-testid=stFileUploader]", "T1, after contrast")
    for place, path in enumerate(four):
        boxes = browser.driver.find_elements("css selector", "[data-testid=stFileUploader] input[type=file]")
        boxes[place].send_keys(str(path))
        browser.wait("[data-testid=stFileUploader]", path.name[-10:])  # of which the page shows the ends
    browser.wait("[data-testid=stText]", "core, volume of the mask")
    mask: Any = nibabel.load(browser.download("mask (mask.nii.gz)"))
    table = pd.read_csv(browser.download("table of slices"))
    assert mask.shape == (40, 36, 16)
    for name, labels in {"area_px": (1, 2, 3), "area_px(core)": (1, 3), "area_px(enhancing)": (3,)}.items():
        assert np.isin(mask.dataobj, labels).sum() == table[name].sum()
    assert browser.hosts() == {"127.0.0.1"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_stays_flat(
    detector: Path, pictures: NDArray[np.uint8], browse: Callable[..., Browser], tmp_path: Path
) -> None:
    browser = browse(detector)
    memory = []
    for place in range(50):
        path = tmp_path / f"{place}.nii.gz"
        path.write_bytes(_nifti(np.roll(pictures[..., 1].transpose(2, 1, 0), place, 0)))
        browser.open()
        browser.send(path)
        browser.wait("[data-testid=stImage] img")
        memory.append(browser.memory)
    print("MiB after each upload:", [own // 2**20 for own in memory])
    assert np.mean(memory[-5:]) - np.mean(memory[15:20]) < 30 * 2**20
    assert not list((tmp_path / "temporary").glob(OURS))
