"""The benchmark measures what it says, and the two sides train the same network on the same pixels."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
import torch

from brain_tumor.benchmark import measure
from brain_tumor.benchmark.plain import Images, PlainLoop
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.phantom import Phantom
from brain_tumor.models.classifier import Classifier
from tests.conftest import Command, data_of

SMALL = [
    "data.cases=6", "data.size=32", "repeats=1", "batches=2", "epochs=1", "models=[resnet18]",
    "model.resnet18.weights=none", "model.resnet50.weights=none",
]  # fmt: skip
SGD = partial(torch.optim.SGD, lr=0.01, momentum=0.5)


@pytest.fixture
def data(cache_dir: Path) -> SliceDataModule:
    """Six cases at their own size, so that neither side resizes."""
    found = data_of(Phantom, cases=6, cache_dir=str(cache_dir), transforms=Transforms(normalize=True), size=256)
    found.prepare_data()
    found.setup()
    return found


def test_both_sides_see_the_same_pixels(data: SliceDataModule) -> None:
    rows = torch.from_numpy(data.rows["test"][:5])
    ours = data.transforms.eval()(data.store.images[rows])
    theirs = torch.stack([Images(data, "test")[index][0] for index in range(5)])
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_the_plain_loop_learns(data: SliceDataModule) -> None:
    data.size = 32
    model = Classifier(backbone="resnet18", strategy="finetune", weights="none", optimizer=SGD, num_classes=2)
    loop = PlainLoop(model, data, torch.device("cpu"))
    # Parameters only: the running means of batch norms change without an optimizer, too.
    before = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    assert loop.train(3) == 24
    assert all(not torch.equal(tensor, before[name]) for name, tensor in model.named_parameters())
    assert loop.test() == len(data.rows["test"])


def test_sides_are_measured_in_turn() -> None:
    calls = []

    def side(name: str, value: float) -> float:
        calls.append(name)
        return value

    found = measure.interleave({"plain": lambda: side("plain", 10), "ours": lambda: side("ours", 30)}, 2)
    assert calls == ["plain", "ours"] * 3  # the first round warms up
    row = measure.compare("training", "images/s", found["plain"], found["ours"])
    assert row.ratio == measure.Spread(3, 3, 3)
    assert measure.compare("whole", "s", [20, 40], [10, 10]).ratio == measure.Spread(3, 2, 4)
    assert "| training | images/s | 10 | 30 | 3 |" in measure.line(row)
    assert measure.Row.of(json.loads(json.dumps(asdict(row)))) == row


@pytest.mark.slow
def test_the_command_saves_one_table(command: Command, tmp_path: Path) -> None:
    output = command("benchmark", *SMALL, "sections=[training,loading,neighbours]", cwd=tmp_path).stdout
    folder = tmp_path / "outputs" / "benchmark" / "1"
    assert output.strip().endswith("saved: outputs/benchmark/1")
    saved = json.loads((folder / "benchmark.json").read_text())
    rows = {row["what"]: row for row in saved["rows"]}
    for what in ("resnet18 fine-tune, training", "resnet18 frozen, 1 epochs", "loader alone"):
        assert rows[what]["ratio"]["median"] > 0
        assert what in output
    assert rows["resnet18 partial (layer4), training, over fine-tuning"]["ours"]["median"] > 0
    assert rows["resunet18 fine-tune, neighbours over slices alone"]["ours"]["median"] > -100
    assert 0 < rows["resnet18 frozen, peak resident memory"]["ours"]["median"] < 16
    assert torch.__version__.startswith(saved["versions"]["torch"])
    for what in rows:
        assert f"| {what} |" in (folder / "benchmark.md").read_text()


@pytest.mark.slow
def test_every_section_measures(command: Command, tmp_path: Path) -> None:
    output = command("benchmark", *SMALL, cwd=tmp_path).stdout
    for words in ("computation alone", "start to first step"):
        assert words in output


@pytest.mark.slow
def test_volumes_are_measured(command: Command, tmp_path: Path) -> None:
    small = ["data=phantom3d", "data.cases=6", "data.shape=[32,32,16]", "data.batch_size=4"]
    command("benchmark", "sections=[volumes]", *SMALL[1:], *small, cwd=tmp_path)
    saved = json.loads((tmp_path / "outputs" / "benchmark" / "1" / "benchmark.json").read_text())
    rows = {row["what"]: row for row in saved["rows"]}
    assert rows["decoding a volume"]["note"] == "6 volumes, 96 slices of them"
    assert rows["decoded files"]["ours"]["median"] >= 96 * 32 * 32 * 5 / 1e6
    assert rows["loader alone, volumes"]["ratio"]["median"] > 20
    assert 0.3 < rows["resunet18, a step on 4 channels over one on three"]["ours"]["median"] < 3
    refused = command("benchmark", "sections=[volumes]", *SMALL, cwd=tmp_path, check=False)
    assert "this data has no volumes; give data=phantom3d" in refused.stderr


def test_a_section_that_is_not_there_is_refused(command: Command, tmp_path: Path) -> None:
    refused = command("benchmark", "sections=[speed]", cwd=tmp_path, check=False)
    assert refused.returncode == 1
    assert "error: sections: no speed; choose from training" in refused.stderr
