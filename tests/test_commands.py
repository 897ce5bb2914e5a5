"""The commands as users type them: real processes, real files, real event files, a process killed for real."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata, plugin_data_pb2

from brain_tumor import predict
from brain_tumor.config import cli
from brain_tumor.runs import identity
from tests.conftest import LAST, SMALL, Command, Start, environment, run_folder, write_image

REQUIRED = {"config", "data", "split", "weights", "baselines", "history", "test", "timing", "versions"}


def _results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return found


def _numbers(folder: Path) -> dict[str, Any]:
    """Everything in a record that must not change between equal runs."""
    found = _results(folder)
    return {key: value for key, value in found.items() if key not in {"timing", "config"}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def finished(command: Command, home: Path) -> Path:
    """The folder of a small finished run with a validation part."""
    output = command(
        "train", *SMALL, "model=resnet18", "transforms=flip_norm", "data.val_fraction=0.2", cwd=home
    ).stdout
    return home / run_folder(output)


def test_the_run_folder_is_complete(finished: Path) -> None:
    found = _results(finished)
    assert found.keys() >= REQUIRED
    assert set(found["test"]["accuracy"]) == {"value", "low", "high"}
    assert found["test"]["accuracy"]["low"] <= found["test"]["accuracy"]["value"] <= found["test"]["accuracy"]["high"]
    assert set(found["baselines"]) == {"majority", "position", "nearest_slice"}
    assert [epoch["epoch"] for epoch in found["history"]] == [1, 2]
    assert set(found["history"][0]) == {"epoch", "train", "val"}
    assert found["weights"]["requested"] == "none"

    with (finished / "split.csv").open() as file:
        parts = [row["part"] for row in csv.DictReader(file)]
    assert {part: parts.count(part) for part in set(parts)} == {
        part: found["split"][part]["slices"] for part in ("train", "val", "test")
    }
    with (finished / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "case", "slice", "label", "p(no tumour)", "p(tumour)"]
    assert len(rows) == found["split"]["test"]["slices"]
    right = sum((float(row["p(tumour)"]) > 0.5) == (row["label"] == "1") for row in rows)
    assert right / len(rows) == pytest.approx(found["test"]["accuracy"]["value"])
    assert {path.name for path in (finished / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}
    assert (finished / ".hydra" / "overrides.yaml").exists()


def test_tensorboard_has_curves_pictures_and_hparams(finished: Path) -> None:
    events = EventAccumulator(str(finished)).Reload()
    tags = events.Tags()
    assert {"train/loss", "train/accuracy", "val/loss", "val/accuracy", "final/accuracy"} <= set(tags["scalars"])
    assert set(tags["images"]) == {"training batch", "confusion matrix", "confidently wrong"}
    history = _results(finished)["history"]
    curve = [(event.step, event.value) for event in events.Scalars("val/loss")]
    assert curve == [(epoch["epoch"], pytest.approx(epoch["val"]["loss"])) for epoch in history]
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert start.hparams["backbone"].string_value == "resnet18"
    assert start.hparams["lr"].number_value == pytest.approx(0.001)
    assert events.Scalars("final/accuracy")[0].value == pytest.approx(_results(finished)["test"]["accuracy"]["value"])


def test_evaluate_gives_the_recorded_numbers(finished: Path, command: Command, home: Path) -> None:
    output = command("evaluate", f"run={finished}", cwd=home).stdout
    again = json.loads((finished / "evaluations" / "1" / "results.json").read_text())["test"]
    recorded = _results(finished)["test"]
    assert again == {name: value for name, value in recorded.items() if name not in {"epoch", "checkpoint"}}
    assert (recorded["epoch"], recorded["checkpoint"]) in {(1, "best"), (2, "best")}
    assert (finished / "evaluations" / "1" / "predictions.csv").read_text() == (
        finished / "predictions.csv"
    ).read_text()
    assert "auroc" in output


def test_evaluate_scores_other_data(finished: Path, command: Command, home: Path, tmp_path: Path) -> None:
    for index in range(4):
        write_image(tmp_path / "mine" / ("yes" if index % 2 else "no") / f"{index}.png", seed=index)
    mine = [f"run={finished}", "data=folder", f"data.root={tmp_path / 'mine'}"]
    refused = command("evaluate", *mine, cwd=home, check=False)
    assert refused.returncode == 1
    assert "the run tells no tumour, tumour apart. Say which is which by classes=[...]" in refused.stderr

    found = []
    for classes in ("no,yes", "yes,no"):
        command("evaluate", *mine, f"classes=[{classes}]", cwd=home)
        newest = max((finished / "evaluations").iterdir())
        found.append(json.loads((newest / "results.json").read_text()))
    # At the size it was trained on, and whoever says yes by its first class is right where the other is wrong.
    assert [run["data"]["classes"] for run in found] == [["no", "yes"], ["yes", "no"]]
    assert sum(run["test"]["accuracy"]["value"] for run in found) == pytest.approx(1)
    assert found[0]["test"]["slices"] == 4
    with (newest / "predictions.csv").open() as file:
        assert {(row["path"].partition("/")[0], row["label"]) for row in csv.DictReader(file)} == {
            ("yes", "0"),
            ("no", "1"),
        }


def test_the_users_line_sweeps(command: Command, tmp_path: Path) -> None:
    command("train", "--multirun", *SMALL, "transforms=resize,norm", "model.strategy=freeze", cwd=tmp_path)
    folders = list((tmp_path / "outputs").glob("[!.]*/"))
    assert sorted(_results(folder)["config"]["transforms"]["normalize"] for folder in folders) == [False, True]
    assert {_results(folder)["split"]["method"] for folder in folders} == {"slice"}
    # The paper's protocol: the test part is shown after every epoch, and the last epoch is scored.
    found = _results(folders[0])
    assert found["history"][-1]["test"]["accuracy"] == pytest.approx(found["test"]["accuracy"]["value"])
    assert found["test"]["epoch"] == 2
    events = EventAccumulator(str(folders[0])).Reload()
    assert [event.step for event in events.Scalars("test/loss")] == [1, 2]
    assert {tag.partition("/")[0] for tag in events.Tags()["scalars"]} == {"train", "test", "final"}


def test_two_runs_started_together_share_nothing_and_agree(start: Start, tmp_path: Path) -> None:
    runs = [start("train", *SMALL, "model=cnn", "resume=false", cwd=tmp_path) for _ in range(2)]
    folders = [tmp_path / run_folder(run.wait().stdout) for run in runs]
    assert folders[0] != folders[1]
    assert _numbers(folders[0]) == _numbers(folders[1])
    assert (folders[0] / "predictions.csv").read_text() == (folders[1] / "predictions.csv").read_text()


def test_a_killed_run_goes_on_to_the_same_numbers(command: Command, start: Start, tmp_path: Path) -> None:
    # It climbs the loss, so the first epoch is the best: a resumed run must know that later ones are not.
    arguments = [*SMALL, "trainer.max_epochs=4", "data.val_fraction=0.2", "+optimizer.maximize=true"]
    arguments += ["average_weights=0.9", "+trainer.limit_train_batches=4"]  # averaged from the third epoch on
    unbroken = tmp_path / run_folder(command("train", *arguments, "output_dir=unbroken", cwd=tmp_path).stdout)

    start("train", *arguments, cwd=tmp_path).kill_when(lambda: list(tmp_path.glob(LAST)))
    (folder,) = (path.parents[1] for path in tmp_path.glob(LAST))
    assert not (folder / "results.json").exists()

    resumed = command("train", *arguments, cwd=tmp_path)
    assert tmp_path / run_folder(resumed.stdout) == folder
    assert _numbers(folder) == _numbers(unbroken)
    assert (folder / "predictions.csv").read_text() == (unbroken / "predictions.csv").read_text()
    # The best epoch is scored, and those after it are in the record all the same.
    losses = [epoch["val"]["loss"] for epoch in _results(folder)["history"]]
    assert losses == sorted(losses)
    assert len(losses) == len(_results(folder)["timing"]["epoch_seconds"]) == 4
    assert _results(folder)["test"]["epoch"] == 1

    again = command("train", *arguments, cwd=tmp_path)
    assert "finished before" in again.stdout
    assert len(list((tmp_path / "outputs").glob("[!.]*/"))) == 1


def test_several_classes_train_test_folders_and_patients(command: Command, tmp_path: Path) -> None:
    for index in range(36):
        part, label = ("test", "train", "train")[index % 3], ("a b", "C", "d")[index // 3 % 3]
        mode, suffix = [("L", ".png"), ("RGBA", ".png"), ("RGB", ".JPG"), ("P", ".bmp")][index % 4]
        write_image(tmp_path / "mine" / part / label / f"p{index} x{suffix}", seed=index, mode=mode)
    output = command(
        "train", *SMALL[1:], "data=folder", "data.root=mine", r"data.patient_pattern='^(p\d+)'", cwd=tmp_path
    ).stdout
    found = _results(tmp_path / run_folder(output))
    assert found["data"]["classes"] == ["C", "a b", "d"]
    assert found["split"]["method"] == "given"
    assert found["split"]["test"]["slices"] == 12
    assert len(found["test"]["confusion_matrix"]) == 3
    assert found["test"]["auroc"]["value"] is not None
    assert set(found["baselines"]) == {"majority"}


# What a user writes who trusts the defaults: each group without the keys that have one.
SHORT = {
    "data": "_target_: brain_tumor.datasets.phantom.Phantom\ncases: 6\nsize: 32\ncache_dir: ${cache_dir}\n",
    "model": "_target_: brain_tumor.models.classifier.Classifier\nbackbone: resnet18\nweights: none\n",
    "transforms": "_target_: brain_tumor.data.transforms.Transforms\nnormalize: true\n",
    "optimizer": "_target_: torch.optim.SGD\n_partial_: true\nlr: 0.01\n",
    "trainer": "_target_: lightning.Trainer\nmax_epochs: 1\n",
}


def test_a_configuration_without_defaulted_keys_trains_sweeps_and_is_reported(command: Command, tmp_path: Path) -> None:
    for group, text in SHORT.items():
        (tmp_path / "mine" / group).mkdir(parents=True)
        (tmp_path / "mine" / group / "short.yaml").write_text(text)
    chosen = [f"{group}=short" for group in SHORT]
    command("train", "--config-dir=mine", "--multirun", *chosen, "seed=0,1", cwd=tmp_path)
    folders = sorted((tmp_path / "outputs").glob("[!.]*/"))
    assert [path.name.rpartition("-")[0] for path in folders] == (
        ["short-resnet18-short-short-slice-seed0", "short-resnet18-short-short-slice-seed1"]
    )
    found = _results(folders[0])
    assert "flip" not in found["config"]["transforms"]
    wanted = {"flip": 0.0, "normalize": True, "batch_size": 8, "strategy": "finetune", "momentum": 0, "max_epochs": 1}
    assert {name: found["hyperparameters"][name] for name in wanted} == wanted
    command("report", "outputs", cwd=tmp_path)
    assert "2 finished runs" in (tmp_path / "outputs" / "report" / "report.md").read_text()
    command("evaluate", f"run={folders[0]}", cwd=tmp_path)


def test_arguments_of_lightnings_trainer(command: Command, tmp_path: Path) -> None:
    small = [*SMALL, "trainer.max_epochs=1", "model.strategy=freeze"]
    refused = command("train", *small, "trainer.limit_train_batches=2", cwd=tmp_path, check=False)
    assert "if lightning.Trainer takes it, write +trainer.limit_train_batches=2" in refused.stderr
    more = ["+trainer.limit_train_batches=2", "+trainer.gradient_clip_val=1", "optimizer.fused=false"]
    folder = tmp_path / run_folder(command("train", *small, *more, cwd=tmp_path).stdout)
    assert _results(folder)["config"]["trainer"]["gradient_clip_val"] == 1


@pytest.mark.slow
def test_a_run_that_starts_from_another_is_not_tested_on_its_patients(command: Command, tmp_path: Path) -> None:
    small = [*SMALL, "trainer.max_epochs=1", "model.strategy=freeze"]
    first = run_folder(command("train", *small, "data.split=patient", "data.split_seed=1", cwd=tmp_path).stdout)
    from_first = [*small, f"model.weights=run:{first}"]
    refused = command("train", *from_first, "data.split=patient", cwd=tmp_path, check=False)
    assert refused.returncode == 1
    assert f"{first}: was trained on what is tested here: PHANTOM_" in refused.stderr
    assert "allow_overlap=true" in refused.stderr

    with (tmp_path / first / "split.csv").open() as file:
        tested = sorted({row["case"] for row in csv.DictReader(file) if row["part"] == "test"})
    (tmp_path / "patients.txt").write_text("\n".join([*tested, ""]))
    second = command("train", *from_first, "data.test_cases=patients.txt", cwd=tmp_path)
    found = _results(tmp_path / run_folder(second.stdout))
    assert (found["weights"]["source"], found["weights"]["detail"]) == ("run", _results(tmp_path / first)["id"])
    assert (found["weights"]["overlap"], found["split"]["method"]) == ([], "cases")
    assert found["config"]["data"]["test_cases"] == tested

    other = command("evaluate", f"run={first}", "data=phantom", "data.cases=6", cwd=tmp_path, check=False)
    assert "was trained on what is tested here" in other.stderr


@pytest.mark.slow
def test_a_compiled_backbone_trains(command: Command, tmp_path: Path) -> None:
    arguments = [*SMALL, "data.size=64", "trainer.precision=32-true", "trainer.max_epochs=1"]
    folders = [
        tmp_path / run_folder(command("train", *arguments, f"trainer.compile={choice}", cwd=tmp_path).stdout)
        for choice in ("true", "false")
    ]
    compiled, plain = (_results(folder)["test"]["loss"]["value"] for folder in folders)
    assert compiled == pytest.approx(plain, abs=0.02)
    command("evaluate", f"run={folders[0]}", cwd=tmp_path)  # its checkpoint is like any other


def test_float32_and_determinism_are_a_setting_away(command: Command, tmp_path: Path) -> None:
    exact = ["trainer.precision=32-true", "trainer.deterministic=true", "trainer.max_epochs=1"]
    found = _results(tmp_path / run_folder(command("train", *SMALL, *exact, cwd=tmp_path).stdout))
    assert found["versions"]["arithmetic"] == "32-true"
    assert found["config"]["trainer"]["deterministic"] is True


def test_verify_says_what_is_there(command: Command, phantoms: Path, tmp_path: Path) -> None:
    good = command("verify", "data=lgg", f"data.root={phantoms}", cwd=tmp_path)
    assert good.stdout.splitlines()[-1] == "sound"
    shutil.copytree(phantoms / "kaggle_3m", tmp_path / "kaggle_3m")
    next((tmp_path / "kaggle_3m").glob("*/*_mask.tif")).unlink()
    bad = command("verify", "data=lgg", f"data.root={tmp_path}", cwd=tmp_path, check=False)
    assert bad.returncode == 1
    assert "image without mask" in bad.stdout
    differing = command("verify", "data=lgg", f"data.root={phantoms}", "published=true", cwd=tmp_path, check=False)
    assert differing.returncode == 1
    assert "missing, though published" in differing.stdout


@pytest.mark.parametrize("verb", ["train", "evaluate", "predict", "verify"])
def test_help_answers_at_once_and_imports_nothing_heavy(verb: str, tmp_path: Path) -> None:
    code = (
        "import sys, runpy; sys.argv = ['x', '--cfg', 'job'];"
        f"runpy.run_module('brain_tumor.{verb}', run_name='__main__');"
        "print([name for name in ('torch', 'pandas', 'lightning') if name in sys.modules])"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.splitlines()[-1] == "[]"


def test_records_are_found_by_configuration() -> None:
    config: dict[str, Any] = {"seed": 0, "data": {"size": 32, "cache_dir": "a"}, "output_dir": "x", "resume": False}
    moved = {**config, "output_dir": "y", "resume": True, "data": {"size": 32, "cache_dir": "b"}}
    assert identity.run_id(config) == identity.run_id(moved)
    assert identity.run_id(config) != identity.run_id({**config, "seed": 1})


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("input=my scan (1).nii.gz", "my scan (1).nii.gz"),
        ("input=in/*_1[0-9].tif", "in/*_1[0-9].tif"),
        ("input=007", "007"),
        ("input=it's {here}", "it's {here}"),
        ("input=[a.png,b]", ["a.png", "b"]),
        ("input=plain/scan.nii", "plain/scan.nii"),
        ("sequences.flair=a b.nii", "a b.nii"),
    ],
)
def test_paths_are_taken_as_they_are_typed(
    argument: str, expected: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")  # which `enter` sets, and other tests must not find
    monkeypatch.setattr(sys, "argv", ["predict", "run=x", argument, "--cfg", "job"])
    cli.enter(predict.main)
    shown = OmegaConf.create(capsys.readouterr().out)
    assert OmegaConf.select(shown, argument.partition("=")[0]) == expected
