"""A data set of one's own is one class in one file: everything else it has from the house."""

import contextlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from brain_tumor import export, predict, verify
from brain_tumor.config import typed
from brain_tumor.data import opening
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.base import COLUMNS, DataSet, Listing
from brain_tumor.evaluation import evaluation
from brain_tumor.inference import trained
from brain_tumor.inference.onnx_run import OnnxRun
from brain_tumor.report.chapters import types
from brain_tumor.report.compose import compose as compose_report
from brain_tumor.report.page import markdown
from brain_tumor.report.runs import collect
from brain_tumor.runs import record
from brain_tumor.training import changed
from tests import toy_data
from tests.conftest import Command, data_of, run_folder

DATA = ["data=custom", "data._target_=my_data.Spots", "+data.root=spots"]
SMALL = ["data.split=patient", "data.size=32", "data.batch_size=16", "model=cnn", "trainer.max_epochs=3"]


@pytest.fixture(scope="module")
def place(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder with a data set of their own in it, and a run on that; the tests are in there."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copy(toy_data.__file__, folder / "my_data.py")
    run = run_folder(command("train", *DATA, *SMALL, cwd=folder).stdout)
    (folder / run).rename(folder / "run")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


def _config(name: str, *arguments: str) -> Any:
    with initialize_config_dir(typed.CONF, version_base="1.3"):
        return compose(name, [*arguments])


def _verify(*arguments: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        verify.main.__wrapped__(_config("verify", *DATA, *arguments))
    return printed.getvalue()


def test_its_record_says_all_that_readers_ask(place: Path) -> None:
    data = record.read(place / "run")["data"]
    assert (data["kind"], data["classes"], data["positive"]) == ("spots", ["clear", "spotted"], "spotted")
    assert (data["sequences"], data["licence"], data["drawn"]) == (["flair"] * 3, toy_data.Spots.licence, False)


@pytest.mark.usefixtures("place")
def test_it_is_verified_also_against_what_was_published() -> None:
    text = _verify("published=true")
    assert "note: spots are where they are" in text
    assert text.endswith("\nsound\n")
    text = _verify("published=true", "+data.patients=7")
    assert "problem: 42 slices, published are 48" in text


def test_it_is_evaluated_where_its_module_is_trusted(place: Path) -> None:
    recorded = record.read(place / "run")["test"]
    config = typed.plain(_config("evaluate", "run=run", "trusted=[my_data]", f"cache_dir={place}/cache"), "evaluate")
    again = evaluation.evaluate(trained.open_run(place / "run", config["trusted"]), config).record
    assert again["test"]["accuracy"] == recorded["accuracy"]
    with pytest.raises(ValueError, match=r"names my_data.Spots, which is no DataSet .* trust its module"):
        trained.open_run(place / "run").data()
    other = ["run=run", *DATA, "+data.patients=10", "allow_overlap=true", f"cache_dir={place}/cache"]
    config = typed.plain(_config("evaluate", *other), "evaluate")
    assert evaluation.evaluate(trained.open_run(place / "run"), config).record["data"]["slices"] == 60


def test_its_slices_are_predicted(place: Path) -> None:
    config = _config("predict", "run=run", "input=spots/0/1.png", "output_dir=predictions")
    assert predict.predict(typed.plain(config, "predict")) == 0
    (chance,) = pd.read_csv(place / "predictions" / "slices.csv")["p(spotted)"]
    assert 0 <= chance <= 1


def test_it_is_exported_with_a_card(place: Path) -> None:
    config = _config("export", "run=run", "to=model.onnx", "trusted=[my_data]", f"cache_dir={place}/cache")
    export.export(typed.plain(config, "export"))
    assert "Data: spots (" in (card := (place / "model.md").read_text())
    assert f"Licence of the data: {toy_data.Spots.licence}." in card
    assert OnnxRun.open(place / "model.onnx").facts["data_licence"] == toy_data.Spots.licence


def test_it_is_reported(place: Path) -> None:
    collected = collect([place])
    assert not types.belongs(collected.runs[0])
    assert "Not the paper's data (spots)" in markdown("", compose_report(collected))


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data._target_=my_data.Typo"], r"data._target_=my_data.Typo: no such class"),
        (["data._target_=my_data.Path"], r"data._target_=my_data.Path: no data set; name a class that derives from"),
        (["+data.typo=1"], r"data: got an unexpected keyword argument 'typo'"),
        (["+data.patients=many"], r"data.patients=many: must be an integer"),
        (["data.size=large"], r"data.size=large: must be an integer"),
    ],
)
def test_mistakes_end_in_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        _verify(*arguments)


def _declared(changes: dict[str, Any]) -> type[DataSet]:
    return type("Other", (toy_data.Spots,), changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "lgg"}, "name=lgg: is that of the data set brain_tumor.datasets.lgg.Lgg; choose another name"),
        ({"name": ""}, "name=: give the data set a name"),
    ],
)
def test_a_declaration_that_would_be_mistaken_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"Other.{re.escape(message)}$"):
        data_of(_declared(changes), root=str(tmp_path), cache_dir=str(tmp_path), transforms=Transforms())


def test_sequences_are_those_of_the_channels(tmp_path: Path) -> None:
    one = _declared({"sequences": ("flair",)})
    data = data_of(one, root=str(tmp_path), cache_dir=str(tmp_path), transforms=Transforms())
    with pytest.raises(
        ValueError, match=r"Other.sequences=flair: name one for each of the 3 channels that its listing"
    ):
        data.setup()


def test_a_data_set_without_a_name_or_slices_is_refused(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"root": str(tmp_path), "cache_dir": str(tmp_path), "transforms": Transforms()}

    class Nameless(DataSet):
        def listing(self) -> Listing:
            return Listing(tmp_path, pd.DataFrame(columns=COLUMNS))

    with pytest.raises(ValueError, match=r"Nameless.name=: give the data set a name$"):
        opening.build(Nameless, {"cache_dir": str(tmp_path)}, "data", transforms=Transforms())
    empty = _declared({"listing": lambda _: Listing(tmp_path, pd.DataFrame(columns=COLUMNS))})
    with pytest.raises(ValueError, match="no slices are listed there"):
        data_of(empty, **settings).setup()
    with pytest.raises(ValueError, match="a listing lacks the columns fold, part"):
        Listing(tmp_path, pd.DataFrame(columns=COLUMNS[:-2]))


def test_a_finished_run_is_of_the_data_wherever_its_files_are_named(place: Path) -> None:
    """A data set of one's own may call the setting of its folder otherwise."""
    config = {**record.read(place / "run")["config"]}
    lines = "import my_data\n\nclass Spots(my_data.Spots):\n    def __init__(self, *, home: str) -> None:\n"
    (place / "at_home.py").write_text(f"{lines}        super().__init__(root=home)\n")
    moved = {key: value for key, value in config["data"].items() if key != "root"}
    moved |= {"_target_": "at_home.Spots", "home": "spots"}
    changed.refuse_changed({**config, "data": moved}, place / "run")
    path = place / "spots" / "0" / "1.png"
    before = path.read_bytes()
    path.write_bytes((place / "spots" / "0" / "3.png").read_bytes())
    with pytest.raises(ValueError, match="finished before, but its data has changed since"):
        changed.refuse_changed({**config, "data": moved}, place / "run")
    path.write_bytes(before)


def test_data_that_nobody_has_published_is_not_held_against_it(place: Path) -> None:
    with pytest.raises(ValueError, match="published=true: only data=cheng and data=lgg are known as they were"):
        verify.main.__wrapped__(_config("verify", "published=true", "data.cases=1", f"cache_dir={place}/cache"))


def test_its_identity_goes_by_its_own_name(place: Path) -> None:
    known = json.loads((place / "run" / "results.json").read_text())
    assert known["config"]["data"]["_target_"] == "my_data.Spots"
