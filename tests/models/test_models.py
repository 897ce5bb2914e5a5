"""Backbones and their weights, freezing, the optimizer, and cached features."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import pytest
import torch
from torch import nn
from torchvision import models

from brain_tumor.config import quiet
from brain_tumor.data.datamodule import SliceDataModule
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.phantom import Phantom
from brain_tumor.models import backbone, checkpoint, features, precision
from brain_tumor.models.classifier import Classifier
from tests.conftest import data_of

Make = Callable[..., Classifier]


@pytest.fixture
def make() -> Make:
    def build(**changes: Any) -> Classifier:
        torch.manual_seed(0)
        settings = {"backbone": "resnet18", "strategy": "finetune", "weights": "none", "num_classes": 2, "seed": 0}
        optimizer = partial(torch.optim.SGD, lr=0.01, momentum=0.5)
        return Classifier(**{"optimizer": optimizer, **settings, **changes})

    return build


@pytest.fixture
def data(cache_dir: Path) -> SliceDataModule:
    module = data_of(
        Phantom,
        cases=6,
        size=32,
        batch_size=16,
        transforms=Transforms(flip=0.5, normalize=True),
        cache_dir=str(cache_dir),
    )
    module.setup()
    return module


def _trainer(epochs: int = 2, arithmetic: Any = "32-true") -> L.Trainer:
    quiet.quieten_lightning()
    return L.Trainer(
        max_epochs=epochs,
        precision=arithmetic,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@pytest.mark.parametrize(("name", "width"), [("resnet18", 512), ("resnet50", 2048), ("resnext50_32x4d", 2048)])
def test_any_torchvision_resnet_gives_features(name: str, width: int) -> None:
    network, features_, weights = backbone.build(name, "none")
    assert features_ == width
    assert network.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, width)
    assert (weights.source, weights.warning) == ("none", "")


def test_the_plain_network_is_the_papers(make: Make, data: SliceDataModule) -> None:
    model = make(backbone="cnn", optimizer=partial(torch.optim.Adam, lr=0.001))
    kinds = [type(layer).__name__ for layer in cast("nn.Sequential", model.backbone)]
    assert kinds[:6] == ["Conv2d", "ReLU", "MaxPool2d"] * 2
    assert model(torch.zeros(2, 3, 96, 96)).shape == model(torch.zeros(2, 3, 32, 32)).shape == (2, 2)
    trainer = _trainer(3)
    trainer.fit(model, data)
    assert model.history[-1]["train"]["loss"] < model.history[0]["train"]["loss"]
    with pytest.raises(ValueError, match=r"model.strategy=freeze: cnn starts at random"):
        make(backbone="cnn", strategy="freeze")
    with pytest.raises(ValueError, match=r"model.weights=imagenet: the plain network starts at random"):
        make(backbone="cnn", weights="imagenet")


def test_the_head_is_the_papers(make: Make) -> None:
    layers = [type(layer).__name__ for layer in make().head]
    assert layers == ["Linear", "ReLU", "Dropout", "Linear", "Dropout", "Linear"]
    widths = [(layer.in_features, layer.out_features) for layer in make().head if isinstance(layer, nn.Linear)]
    assert widths == [(512, 512), (512, 256), (256, 2)]


def test_loads_a_state_dict_with_its_classification_layer(tmp_path: Path) -> None:
    reference = models.resnet18()
    torch.save(reference.state_dict(), tmp_path / "weights.pth")
    network, _, weights = backbone.build("resnet18", str(tmp_path / "weights.pth"))
    assert torch.equal(network.state_dict()["layer4.1.conv2.weight"], reference.layer4[1].conv2.weight)
    assert (weights.source, weights.missing) == ("file", [])
    assert len(weights.detail) == 64


def test_a_partial_state_dict_is_loaded_and_said_to_be_partial(tmp_path: Path) -> None:
    state = {name: value.half() for name, value in models.resnet18().state_dict().items() if "layer4" not in name}
    torch.save(state, tmp_path / "partial.pth")
    network, _, weights = backbone.build("resnet18", str(tmp_path / "partial.pth"))
    assert torch.equal(network.state_dict()["conv1.weight"], state["conv1.weight"].float())
    assert all("layer4" in name for name in weights.missing)
    assert "keep their random start" in weights.warning


class _Malicious:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("this must never run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "can be loaded safely"),
        (b"garbage", "can be loaded safely"),
        (_Malicious(), "can be loaded safely"),
        ([1, 2], "not a state dict"),
        ({"epoch": 3}, "not a state dict"),
        ({"encoder.weight": torch.zeros(1)}, "weights of another model; unknown: encoder.weight"),
        ({"conv1.weight": torch.zeros(1)}, r"conv1.weight \(1,\) instead of \(64, 3, 7, 7\)"),
        ({"fc.weight": torch.zeros(1)}, "no tensor of the backbone"),
    ],
)
def test_refuses_foreign_weights(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message):
        backbone.build("resnet18", str(path))


def test_refuses_another_resnets_weights(tmp_path: Path) -> None:
    torch.save(models.resnet34().state_dict(), tmp_path / "resnet34.pth")
    with pytest.raises(ValueError, match="weights of another model"):
        backbone.build("resnet18", str(tmp_path / "resnet34.pth"))
    with pytest.raises(ValueError, match="no such file"):
        backbone.build("resnet18", str(tmp_path / "nowhere.pth"))
    with pytest.raises(ValueError, match="neither torchvision nor timm has such a network; similar names: resnet18"):
        backbone.build("resnet19", "none")


def test_auto_takes_cached_imagenet_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(models.ResNet18_Weights, "get_state_dict", lambda *_, **__: models.resnet18().state_dict())
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "resnet18-f37072fd.pth").touch()
    assert backbone.build("resnet18", "auto")[2].source == "imagenet"


def test_without_imagenet_auto_warns_and_imagenet_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(url: str, timeout: float) -> None:
        raise OSError(f"{url} not reached in {timeout} s")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    weights = backbone.build("resnet18", "auto")[2]
    assert weights.source == "none"
    assert "starts at random" in weights.warning
    with pytest.raises(ValueError, match="neither cached nor reachable"):
        backbone.build("resnet18", "imagenet")


@pytest.mark.parametrize("cached", [True, False])
def test_frozen_means_frozen(make: Make, data: SliceDataModule, cached: bool) -> None:
    model = make(strategy="freeze")
    if cached:
        data.store.features = features.cached(model.backbone, data, "32-true", torch.device("cpu"))
    before = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    head = model.head.state_dict()["0.weight"].clone()
    _trainer().fit(model, data)
    assert all(torch.equal(value, before[name]) for name, value in model.backbone.state_dict().items())
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    assert not any(module.training for module in model.train().backbone.modules())
    optimized = sum(p.numel() for group in model.configure_optimizers().param_groups for p in group["params"])
    assert optimized == sum(p.numel() for p in model.head.parameters())
    assert not torch.equal(model.head.state_dict()["0.weight"], head)


def test_partial_trains_the_last_blocks_alone(make: Make, data: SliceDataModule) -> None:
    model = make(**PARTIAL)
    before = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    _trainer(1).fit(model, data)
    moved = {name for name, value in model.backbone.state_dict().items() if not torch.equal(value, before[name])}
    # Batch norms before the cut keep their statistics, those after it do not.
    assert moved == {name for name in before if name.startswith("layer4")}
    optimized = sum(p.numel() for group in model.configure_optimizers().param_groups for p in group["params"])
    own = [*cast("nn.Module", model.backbone.layer4).parameters(), *model.head.parameters()]
    assert optimized == sum(p.numel() for p in own)
    assert set(model.state_dict()) == set(make().state_dict())
    assert model.hyperparameters["trained"] == "layer4"


def test_features_without_room_are_refused(make: Make, data: SliceDataModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    part = make(**PARTIAL, seed=5).frozen_part
    assert part is not None
    next(part.parameters()).data += 0.001  # a part that no other test has kept
    with pytest.raises(ValueError, match=r"the features take 0\.\d GB, and 0\.0 are free"):
        features.cached(part, data, "32-true", torch.device("cpu"))


def test_finetuning_moves_the_backbone(make: Make, data: SliceDataModule) -> None:
    model = make()
    before = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    _trainer(1).fit(model, data)
    assert not any(torch.equal(v, before[name]) for name, v in model.backbone.state_dict().items() if "running" in name)
    assert not any(torch.equal(v, before[n]) for n, v in model.backbone.state_dict().items() if "conv" in n)


FROZEN = {"strategy": "freeze"}
PARTIAL = {"strategy": "partial", "trained": "layer4"}


@pytest.mark.parametrize(
    ("transforms", "strategy", "shape"),
    [
        (Transforms(), FROZEN, (512,)),
        (Transforms(flip=0.5), FROZEN, (512,)),
        (Transforms(flip=0.5, normalize=True), FROZEN, (512,)),
        (Transforms(flip=0.5, normalize=True), PARTIAL, (2, 2, 256)),
        (Transforms(), {"strategy": "partial", "trained": ["layer4", "layer3"]}, (4, 4, 128)),
    ],
)
def test_cached_features_train_to_the_same_bits(
    make: Make, cache_dir: Path, transforms: Transforms, strategy: dict[str, Any], shape: tuple[int, ...]
) -> None:
    results = []
    for cached in (True, False):
        data = data_of(Phantom, cases=6, size=32, batch_size=16, transforms=transforms, cache_dir=str(cache_dir))
        data.setup()
        model = make(**strategy, monitored="test")
        if cached:
            assert model.frozen_part is not None
            variants = features.cached(model.frozen_part, data, "32-true", torch.device("cpu"))
            assert variants is not None
            assert [own.shape for own in variants] == [(len(data.table), *shape)] * (1 + bool(transforms.flip))
            data.store.features = variants
        trainer = _trainer()
        trainer.fit(model, data)
        trainer.test(model, data, verbose=False)
        results.append((model.history, model.predictions[1], model.state_dict()))
    (history, logits, head), (slow_history, slow_logits, slow_head) = results
    assert history == slow_history
    assert torch.equal(logits, slow_logits)
    assert all(torch.equal(head[name], slow_head[name]) for name in head)


@pytest.mark.parametrize("strategy", ["finetune", "freeze"])
def test_images_in_the_devices_memory_give_the_same_bits(make: Make, cache_dir: Path, strategy: str) -> None:
    results = []
    for resident in (True, False):
        data = data_of(
            Phantom, cases=6, size=32, transforms=Transforms(flip=0.5), cache_dir=str(cache_dir), resident=resident
        )
        data.setup()
        model = make(strategy=strategy, monitored="test")
        trainer = _trainer(1)
        trainer.fit(model, data)
        trainer.test(model, data, verbose=False)
        results.append((model.history, model.predictions[1].tolist()))
        assert data.store.is_resident == resident
    assert results[0] == results[1]


@pytest.mark.slow
@pytest.mark.skipif(
    precision.resolve("auto", "cpu") != "bf16-mixed", reason="this processor does bfloat16 in software, in minutes"
)
def test_bfloat16_reaches_the_accuracy_of_float32(make: Make, cache_dir: Path) -> None:
    found: dict[str, list[float]] = {"32-true": [], "bf16-mixed": []}
    for arithmetic, accuracies in found.items():
        for seed in (0, 1):
            data = data_of(
                Phantom, cases=12, size=64, batch_size=16, transforms=Transforms(), cache_dir=str(cache_dir), seed=seed
            )
            data.prepare_data()
            data.setup()
            model = make(monitored="test", seed=seed)
            _trainer(5, arithmetic).fit(model, data)
            accuracies.append(model.history[-1]["test"]["accuracy"])
    # The better of two: after five epochs a seed may still give every slice one answer, in either arithmetic.
    best = {arithmetic: max(accuracies) for arithmetic, accuracies in found.items()}
    assert min(best.values()) > 0.75, f"nothing was learnt: {found}"
    # Some 55 test slices: 95 % of the differences between two such seeds of one arithmetic lie within this.
    assert abs(best["32-true"] - best["bf16-mixed"]) < 0.12, found


def test_features_are_computed_once_and_shared(
    make: Make, data: SliceDataModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = torch.device("cpu")
    first = features.cached(make(strategy="freeze").backbone, data, "32-true", device)
    monkeypatch.setattr(features, "_extract", lambda *_: pytest.fail("computed again"))
    again = features.cached(make(strategy="freeze").backbone, data, "32-true", device)
    assert first is not None
    assert again is not None
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))


def test_features_of_other_transforms_are_others(make: Make, data: SliceDataModule) -> None:
    class Darker(Transforms):
        def together(
            self, images: torch.Tensor, masks: torch.Tensor | None, *of_volumes: torch.Tensor | None
        ) -> tuple[torch.Tensor, torch.Tensor | None]:
            shown, masks = super().together(images, masks, *of_volumes)
            return shown * 0.5, masks

    device, part = torch.device("cpu"), make(strategy="freeze").backbone
    first = features.cached(part, data, "32-true", device)
    data.transforms = Darker(flip=0.5, normalize=True)
    second = features.cached(part, data, "32-true", device)
    assert first is not None
    assert second is not None
    assert not any(torch.equal(*pair) for pair in zip(first, second, strict=True))


def test_features_of_heads_without_skulls_are_others(make: Make, cache_dir: Path) -> None:
    device, part = torch.device("cpu"), make(strategy="freeze").backbone
    keys = set()
    for skull in ("keep", "remove"):
        settings: dict[str, Any] = {"cache_dir": str(cache_dir), "cases": 6, "size": 32, "skull": skull}
        shown = data_of(Phantom, transforms=Transforms(), **settings)
        shown.setup()
        keys.add(features._key(part, shown, "32-true", device))
    assert len(keys) == 2


def test_without_finite_variants_features_are_not_cached(
    make: Make, data: SliceDataModule, caplog: pytest.LogCaptureFixture
) -> None:
    data.transforms = Transforms(rotate=10)
    assert features.cached(make(strategy="freeze").backbone, data, "32-true", torch.device("cpu")) is None
    assert "too many variants" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "melt"}, "model.strategy=melt"),
        ({"strategy": "partial"}, "model.trained=None: goes with model.strategy=partial"),
        ({"trained": "layer4"}, "model.trained=layer4: goes with model.strategy=partial"),
        ({"strategy": "partial", "trained": "layer3"}, "model.trained=layer3: name the last blocks"),
        (
            {"strategy": "partial", "trained": ["layer2", "layer4"]},
            "model.trained=layer2, layer4: name the last blocks",
        ),
        ({"dropout": 1.0}, "model.dropout=1.0"),
        ({"hidden": [512]}, "model.hidden"),
        ({"optimizer": partial(torch.optim.SGD, lr=0)}, "optimizer.lr=0"),
        ({"optimizer": partial(torch.optim.SGD, lr=-1)}, "Invalid learning rate: -1"),
        ({"optimizer": partial(cast("Any", torch.optim.SGD), lr=1, typo=1)}, "unexpected keyword argument 'typo'"),
    ],
)
def test_refuses_bad_values(make: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_a_checkpoint_holds_plain_values_only(make: Make, data: SliceDataModule, tmp_path: Path) -> None:
    trainer = _trainer(1)
    model = make()
    trainer.fit(model, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    torch.load(tmp_path / "a.ckpt", weights_only=True)
    other = make()
    checkpoint.load(other, tmp_path / "a.ckpt")
    assert torch.equal(other.head.state_dict()["0.weight"], model.head.state_dict()["0.weight"])
    with pytest.raises(ValueError, match=r"a checkpoint of another model \(resnet18 for 2 classes\)"):
        checkpoint.load(make(backbone="resnet34"), tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="another model"):
        checkpoint.load(make(num_classes=3), tmp_path / "a.ckpt")


@pytest.mark.parametrize("content", [b"", b"garbage", {"state_dict": {}}])
def test_refuses_what_is_no_checkpoint(make: Make, tmp_path: Path, content: Any) -> None:
    path = tmp_path / "bad.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match="checkpoint"):
        checkpoint.load(make(), path)


def test_precision_auto_follows_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert precision.resolve("auto", "cpu") == "bf16-mixed"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert precision.resolve("auto", "cpu") == "32-true"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    assert precision.resolve("auto", "auto") == "bf16-mixed"
    assert precision.resolve("16-mixed", "auto") == "16-mixed"


@pytest.mark.parametrize(
    ("make_optimizer", "schedule", "used", "first"),
    [
        (partial(torch.optim.SGD, lr=0.1, momentum=0.5), "constant", "0.5", 0.5),
        (partial(torch.optim.SGD, lr=0.1, momentum=0.5), "onecycle", "0.5", 0.5),
        (partial(torch.optim.SGD, lr=0.1), "onecycle", "0", 0),
        (partial(torch.optim.AdamW, lr=0.1), "constant", "0.9", 0.9),
        (partial(torch.optim.AdamW, lr=0.1), "onecycle", "0.95 to 0.85", 0.95),
        (partial(torch.optim.AdamW, lr=0.1, betas=(0.8, 0.99)), "onecycle", "0.8", 0.8),
    ],
)
def test_the_momentum_that_is_recorded_is_used(make_optimizer: Any, schedule: str, used: str, first: float) -> None:
    model = Classifier(backbone="cnn", num_classes=2, weights="none", optimizer=make_optimizer, schedule=schedule)
    assert model.hyperparameters["momentum_used"] == used
    model._trainer = cast("Any", SimpleNamespace(estimated_stepping_batches=10))
    made = model.configure_optimizers()
    (group,) = (made["optimizer"] if schedule == "onecycle" else made).param_groups
    assert group.get("momentum", group.get("betas", [None])[0]) == first
