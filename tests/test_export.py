"""A run as one ONNX file says what the run says, without torch, and no other file is taken for one."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from brain_tumor.datasets import phantom
from brain_tumor.inference import check_slices, export, onnx_export, quantize, resampling, trained
from brain_tumor.inference.onnx_run import OnnxRun
from brain_tumor.inference.predictor import Predictor
from brain_tumor.scans import images
from tests.conftest import REPOSITORY, Command, environment
from tests.test_predict import write_nifti

SCRIPT = re.findall(r"^```python\n(.+?)^```", (REPOSITORY / "docs" / "export.md").read_text(), re.M | re.S)[0]
# Whoever imports torch, or what brings it, fails.
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "lightning", "torchmetrics", *sys.argv[1].split(",")}:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
"""


def _without_torch(
    program: str, *arguments: str, cwd: Path, cache_dir: Path, also: str = ""
) -> subprocess.CompletedProcess[str]:
    code = f"{BLOCKED}sys.argv[:2] = [__file__]\n{program}"
    (cwd / "program.py").write_text(code)
    return subprocess.run(
        [sys.executable, "program.py", also, *arguments],
        cwd=cwd, env=environment(cache_dir), capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    """Slices of a phantom."""
    return np.stack([image for image, _ in phantom.draw_case(0, 1)])[8:20]


@pytest.fixture(scope="module")
def marker(segmenter: Path, command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small segmenter's file."""
    folder = tmp_path_factory.mktemp("marker")
    finished = command("export", f"run={segmenter}", "to=model.onnx", cwd=folder)
    assert re.search(r"predict in float32, \d+ slices \| \S+ \| \S+ \| \S+ \| none \|", finished.stdout)
    assert sorted(path.name for path in folder.iterdir()) == ["model.md", "model.onnx"]
    return folder / "model.onnx"


@pytest.fixture(scope="module")
def classifier(detector: Path, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small frozen classifier's file."""
    to = tmp_path_factory.mktemp("classifier") / "model.onnx"
    run = trained.open_run(detector)
    slices = check_slices.tested(run, None, str(cache_dir))
    checked = export.export(run, to, slices, "percentile", 0.4)
    assert checked["network"]["probabilities"] < 1e-5
    assert checked["exact"]["probabilities"] < 1e-5
    return to


@pytest.mark.parametrize("shape", [(256, 256), (41, 77), (300, 200), (64, 64), (20, 31)])
@pytest.mark.parametrize("size", [32, 64, 224])
def test_resizing_is_pillows_to_the_byte(shape: tuple[int, int], size: int) -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = ImageOps.pad(Image.fromarray(image), (size, size), Image.Resampling.BILINEAR, color=(0, 0, 0))
    found = resampling.fit(torch.from_numpy(image)[None], size)[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(found, np.array(expected))
    maps = generator.random((size, size), dtype=np.float32)
    back = resampling.unfit(torch.from_numpy(maps)[None], torch.from_numpy(image)[None])[0].numpy()
    np.testing.assert_allclose(back, images.unfit(maps, *shape), atol=1e-6)


def test_predict_needs_no_torch(
    marker: Path, classifier: Path, segmenter: Path, detector: Path, pictures: NDArray[np.uint8], tmp_path: Path,
    cache_dir: Path,
) -> None:  # fmt: skip
    (tmp_path / "in").mkdir()
    for place, image in enumerate(pictures):
        Image.fromarray(image[: 256 - 8 * place]).save(tmp_path / "in" / f"{place:02d}.png")
    program = "import runpy\nrunpy.run_module('brain_tumor.predict', run_name='__main__')"
    # A threshold of 0, so that no mask is emptied.
    given = [f"run={marker}", f"detector={classifier}", "input=in", "output_dir=out", "threshold=0"]
    finished = _without_torch(program, *given, cwd=tmp_path, cache_dir=cache_dir)
    assert finished.returncode == 0, finished.stderr
    found = pd.read_csv(tmp_path / "out" / "slices.csv", keep_default_na=False)
    predictor = Predictor(trained.open_run(segmenter), trained.open_run(detector), 0)
    expected = predictor.predict(check_slices.pictures(str(tmp_path / "in")))
    table = pd.concat([own.table for own in expected], ignore_index=True)
    assert set(found) - {"case", "status", "reason"} == set(table)
    for name in ("p(tumour)", "detector p(tumour)"):
        np.testing.assert_allclose(found[name], table[name], atol=0.02)
    masks = [np.array(Image.open(path)) > 0 for path in sorted((tmp_path / "out" / "masks").glob("*.png"))]
    assert sum(own.any() for own in masks) > 2
    unequal = [(own != its.masks[0]).mean() for own, its in zip(masks, expected, strict=True) if its.masks is not None]
    assert len(unequal) == len(pictures)
    assert np.mean(unequal) <= 0.01
    made = json.loads((tmp_path / "out" / "predict.json").read_text())
    assert "onnxruntime" in made["versions"]
    assert "torch" not in made["versions"]


@pytest.mark.parametrize("kind", ["marker", "classifier"])
def test_the_script_of_the_docs_needs_numpy_and_onnxruntime_alone(
    kind: str, pictures: NDArray[np.uint8], tmp_path: Path, cache_dir: Path, request: pytest.FixtureRequest
) -> None:
    assert len([line for line in SCRIPT.splitlines() if line]) <= 20
    file = request.getfixturevalue(kind)
    run = trained.open_run(request.getfixturevalue({"marker": "segmenter", "classifier": "detector"}[kind]))
    shown = np.ascontiguousarray(pictures[:, 20:, :150])
    np.save(tmp_path / "slices.npy", shown)
    finished = _without_torch(
        SCRIPT, str(file), "slices.npy", cwd=tmp_path, cache_dir=cache_dir, also="brain_tumor,pandas,PIL,onnx"
    )
    assert finished.returncode == 0, finished.stderr
    about, *lines = finished.stdout.strip().splitlines()
    assert run.record["id"] in about
    with torch.no_grad():
        expected = onnx_export.Whole(run.model(), run.transforms(), run.size)(torch.from_numpy(shown))
    found = [float(re.findall(r", tumour ([\d.]+)", line)[0]) for line in lines]
    np.testing.assert_allclose(found, expected[0][:, 1].numpy(), atol=1e-4)
    if kind == "marker":
        masks = np.load(tmp_path / "slices_mask.npy")
        assert masks.shape == shown.shape[:3]
        assert (masks != expected[2].numpy()).mean() <= 1e-4


@pytest.mark.slow
def test_in_an_environment_with_nothing_else(marker: Path, pictures: NDArray[np.uint8], tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    constraints = ["--constraint", str(REPOSITORY / "constraints.txt")]
    subprocess.run([python, "-m", "pip", "install", "-q", *constraints, "onnxruntime", "numpy"], check=True)
    listed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert not re.search(r"^(torch|pandas|pillow|onnx) ", listed, re.M)
    np.save(tmp_path / "slices.npy", pictures)
    (tmp_path / "run_model.py").write_text(SCRIPT)
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    finished = subprocess.run(
        [python, "run_model.py", marker, "slices.npy"],
        cwd=tmp_path, env=clean, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(finished.stdout.splitlines()) == len(pictures) + 1


def test_the_file_and_its_card_say_what_the_run_was(classifier: Path, detector: Path) -> None:
    run, file = trained.open_run(detector), OnnxRun.open(classifier)
    assert (file.task, file.dataset, file.classes, file.size) == (run.task, run.dataset, run.classes, run.size)
    facts = file.facts
    assert (facts["run"], facts["weights_sha256"]) == (run.record["id"], run.digest())
    assert (facts["threshold"], facts["preset"], facts["sequences"]) == (0.4, "percentile", ["t1", "flair", "t1ce"])
    assert (file.positive, file.skull, file.threshold_origin) == ("tumour", run.skull, "given")
    assert Predictor(file).threshold == 0.4
    temperature = run.record["calibration"]["temperature"]
    raw = 1 / (1 + (0.6 / 0.4) ** temperature)
    card = classifier.with_suffix(".md").read_text()
    value = run.record["test"]["accuracy"]
    assert f"| accuracy | {value['value']:.3f} | {value['low']:.3f} to {value['high']:.3f} |" in card
    said = "`tumour` is positive: a slice counts as that from a calibrated probability of 0.4 on (threshold: given)"
    assert f"{said}, which is {raw:.4g} of the raw ones in the file's output." in card
    for text in ("not a medical device", "always the commonest class", run.digest(), facts["data_licence"]):
        assert text in card
    assert str(REPOSITORY).encode() not in classifier.read_bytes(), "this machine's folders are nobody's business"
    assert b"site-packages" not in classifier.read_bytes()


def test_without_a_threshold_the_runs_own_is_in_the_file(marker: Path, segmenter: Path) -> None:
    run, file = trained.open_run(segmenter), OnnxRun.open(marker)
    assert (file.threshold, file.threshold_origin) == (run.threshold, run.threshold_origin)
    assert file.positive == "tumour"


@pytest.mark.parametrize(
    ("classes", "positive"),
    [
        (["no tumour", "tumour"], "tumour"),
        (["Brain Tumor", "Healthy"], "Brain Tumor"),
        (["glioma", "meningioma"], None),
    ],
)
def test_a_file_of_format_1_still_opens(
    classes: list[str], positive: str | None, classifier: Path, tmp_path: Path
) -> None:
    model, later = onnx.load(classifier), ("positive", "skull", "threshold_origin")
    kept = [own for own in model.metadata_props if own.key.rpartition(".")[2] not in later]
    del model.metadata_props[:]
    for own in kept:
        model.metadata_props.add(key=own.key, value={"format": "1", "classes": json.dumps(classes)}.get(
            own.key.rpartition(".")[2], own.value))  # fmt: skip
    (tmp_path / "old.onnx").write_bytes(model.SerializeToString())
    file = OnnxRun.open(tmp_path / "old.onnx")
    assert (file.positive, file.skull, file.threshold, file.threshold_origin) == (positive, None, 0.4, "the file's")


def _external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "../../secret.bin")


def _in_a_node(model: Any) -> None:
    node = model.graph.node.add(op_type="Constant", name="hidden", output=["hidden"])
    tensor = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t
    tensor.data_location, tensor.data_type = onnx.TensorProto.EXTERNAL, onnx.TensorProto.FLOAT
    tensor.external_data.add(key="location", value="/etc/passwd")


def _flip_a_bit(model: Any) -> None:
    tensor = max(model.graph.initializer, key=lambda own: len(own.raw_data))
    tensor.raw_data = bytes([tensor.raw_data[0] ^ 1]) + tensor.raw_data[1:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_external, "keeps weights in other files"),
        (_in_a_node, "keeps weights in other files"),
        (_flip_a_bit, "changed after it was exported"),
        (lambda model: setattr(model, "producer_name", "pytorch"), "written by 'pytorch'"),
        (lambda model: model.ClearField("metadata_props"), "lacks metadata"),
        (lambda model: model.metadata_props.remove(model.metadata_props[3]), "lacks metadata"),
        (lambda model: setattr(model.metadata_props[0], "value", "{"), "its metadata is damaged"),
        (lambda model: setattr(model.metadata_props[0], "value", "99"), "of format 99"),
        (lambda model: setattr(model.graph.node[0], "domain", "com.example"), "operators of its own"),
        (lambda model: model.graph.node[0].attribute.add(name="x", i=1, type=2), "changed after it was exported"),
    ],
)
def test_no_other_file_is_taken(change: Any, message: str, classifier: Path, tmp_path: Path) -> None:
    model = onnx.load(classifier)
    change(model)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match=message) as error:
        OnnxRun.open(path)
    assert "\n" not in str(error.value)


def test_damaged_files_are_refused(classifier: Path, tmp_path: Path) -> None:
    whole, path = classifier.read_bytes(), tmp_path / "model.onnx"
    for content in (b"", b"no model", whole[: len(whole) // 2], whole[:-100]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"model\.onnx: "):
            OnnxRun.open(path)
    with pytest.raises(ValueError, match="cannot be read"):
        OnnxRun.open(tmp_path / "nowhere.onnx")


def test_a_file_that_says_something_else_gets_no_name(
    detector: Path, classifier: Path, pictures: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained.open_run(detector)
    real = onnx_export.Whole.forward
    Image.fromarray(pictures[0]).save(tmp_path / "a.png")
    slices = check_slices.pictures(str(tmp_path / "a.png"))
    monkeypatch.setattr(onnx_export, "write", lambda _whole, path, _facts: shutil.copy(classifier, path))
    monkeypatch.setattr(onnx_export.Whole, "forward", lambda self, given: (real(self, given)[0].flip(1),))
    with pytest.raises(ValueError, match="differs from its network"):
        export.export(run, tmp_path / "model.onnx", slices, "maximum", 0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_bad_orders_end_in_one_line(detector: Path, tmp_path: Path, command: Command) -> None:
    finished = command("export", f"run={detector}", "to=model.txt", cwd=tmp_path, check=False)
    assert finished.returncode == 1
    assert finished.stderr.strip().splitlines()[-1].startswith("error: to=model.txt: name a file ending in .onnx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds nothing to predict"):
        check_slices.pictures(str(tmp_path / "empty"))
    (tmp_path / "empty" / "a.png").write_text("none")
    with pytest.raises(ValueError, match="give pictures to check the file on"):
        check_slices.pictures(str(tmp_path / "empty"))
    write_nifti(tmp_path / "scan.nii.gz", np.ones((4, 8, 8), np.float32))
    with pytest.raises(ValueError, match="give pictures to check the file on") as error:
        check_slices.pictures(str(tmp_path / "scan.nii.gz"))
    assert str(error.value).endswith("(PNG, JPEG, TIFF, BMP); a volume cannot check it")


@pytest.mark.slow
def test_the_benchmark_has_a_section_on_files(tmp_path: Path, command: Command) -> None:
    small = ["data.cases=6", "data.size=64", "repeats=1", "models=[resnet18]", "model.resnet18.weights=none"]
    finished = command("benchmark", "sections=[exported]", *small, f"output_dir={tmp_path}", cwd=tmp_path)
    for name in ("resnet18", "resunet18"):
        assert f"| {name} predicts: onnxruntime, float32 | images/s |" in finished.stdout
        assert f"| {name} predicts: torch, 32-true | images/s |" in finished.stdout


@pytest.fixture
def in_float32(marker: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small segmenter's file, which takes long to write, and which every export of it then copies."""
    monkeypatch.setattr(onnx_export, "write", lambda _whole, path, _facts: shutil.copy(marker, path))
    return marker


def test_a_file_in_int8_says_the_same_and_is_smaller(
    segmenter: Path, in_float32: Path, tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantize, "LEAST_DICE", 0.8)  # after two epochs most pixels lie near the threshold
    run = trained.open_run(segmenter)
    slices, data = check_slices.tested(run, None, str(cache_dir)), check_slices.data_of(run, None, str(cache_dir))
    checked = export.export(run, tmp_path / "small.onnx", slices, "maximum", None, data)
    assert checked["int8"]["slices"] == len(data.rows["test"])
    assert re.search(
        r"^\| int8 beside float32, \d+ slices in volumes: 2,", (tmp_path / "small.md").read_text(), re.MULTILINE
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.md", "small.onnx"]
    small, exact = OnnxRun.open(tmp_path / "small.onnx"), OnnxRun.open(in_float32)
    assert (small.facts["precision"], exact.facts["precision"]) == ("int8", "float32")
    assert {**small.facts, "precision": "float32"} == exact.facts
    assert (tmp_path / "small.onnx").stat().st_size < 0.3 * in_float32.stat().st_size
    types = {node.op_type for node in onnx.load(tmp_path / "small.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= types
    # Held-out slices, by the program without torch.
    Image.fromarray(slices[5].images[0]).save(tmp_path / "slice.png")
    program = "import sys\nfrom brain_tumor import predict\nsys.argv[0] = 'predict'\npredict.main()"
    said = _without_torch(
        program, "run=small.onnx", "input=slice.png", "output_dir=out", cwd=tmp_path, cache_dir=cache_dir
    )
    assert said.returncode == 0, said.stderr
    assert len(pd.read_csv(tmp_path / "out" / "slices.csv")) == 1


@pytest.mark.usefixtures("in_float32")
def test_a_file_in_int8_that_says_something_else_is_not_written(
    segmenter: Path, tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained.open_run(segmenter)
    slices = check_slices.tested(run, None, str(cache_dir))
    data = check_slices.data_of(run, None, str(cache_dir))
    served = quantize.volumes(data, "train")
    # Calibrated on black pictures, activations of real ones are cut off.
    black = [volume._replace(images=np.zeros_like(volume.images)) for volume in served]
    monkeypatch.setattr(quantize, "volumes", lambda _, part: black if part == "train" else served)
    with pytest.raises(ValueError, match=r"precision=int8: .*Dice with float32's is .*nothing was written"):
        export.export(run, tmp_path / "small.onnx", slices, "percentile", None, data)
    assert not list(tmp_path.iterdir())
