"""timm's networks as backbones and encoders: divided, explained, widened, loaded, refused."""

from functools import partial
from pathlib import Path
from typing import Any, cast

import lightning as L
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from torchvision import models

from brain_tumor.config import quiet
from brain_tumor.data.transforms import Transforms
from brain_tumor.datasets.phantom import Phantom
from brain_tumor.models import encoders, features, gradcam
from brain_tumor.models.classifier import Classifier
from brain_tumor.models.segmenter import Segmenter
from tests.conftest import data_of

# A network of each family, the smallest that timm has, and its last stage. The last is built as DINOv2 is: with a
# register token and scaled layers.
LAST = {"test_convnext": "stages.3", "test_efficientnet": "blocks.4", "test_vit": "blocks.5", "test_vit4": "blocks.8"}


def _classifier(name: str, **changes: Any) -> Classifier:
    torch.manual_seed(0)
    return Classifier(backbone=name, **{"num_classes": 2, "weights": "none", "image_size": 32, **changes})


def test_names_are_torchvisions_or_timms() -> None:
    known = models.list_models(module=models, include=["resnet*", "resnext*", "wide_resnet*"])
    assert sorted(encoders.RESNETS) == sorted(known)
    assert not encoders.is_timm("resnet18")
    assert encoders.is_timm("resnet18.a1_in1k")
    assert (
        encoders.pretrained_input("resnet50")
        == encoders.pretrained_input("nowhere")
        == encoders.pretrained_input("cnn")
        == {}
    )
    assert encoders.pretrained_input("vit_base_patch16_384") == {"size": 384, "mean": [0.5] * 3, "std": [0.5] * 3}
    assert encoders.pretrained_input("convnextv2_tiny.fcmae_ft_in22k_in1k_384")["size"] == 384


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: _classifier("convnxt_tiny"), "model.backbone=convnxt_tiny: .* similar names: convnext_tiny"),
        (lambda: _classifier("test_vit.r161_in1k"), "model.backbone=.*: .* similar names: test_vit.r160_in1k"),
        (lambda: _classifier("test_vit", image_size=40), "data.size=40: .* patches of 16 pixels; choose data.size=48"),
        (lambda: _classifier("test_vit", strategy="partial", trained="blocks.0"), "name the last blocks of blocks.0, "),
        (
            lambda: _classifier("vit_tiny_patch16_dinov3_qkvb", strategy="partial", trained="blocks.11"),
            "qkvb cannot be divided into stages",
        ),
        (lambda: Segmenter(encoder="test_vit", num_classes=2, weights="none"), "model.encoder=test_vit: .* cannot use"),
        (lambda: Segmenter(encoder="cnn", num_classes=2, weights="none"), "model.encoder=cnn: has no stages"),
    ],
)
def test_refuses_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        make()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", LAST)
def test_partial_trains_the_last_stage_alone(name: str) -> None:
    model = _classifier(name, strategy="partial", trained=LAST[name])
    images = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        model.eval()
        assert torch.allclose(model(images), model.head(model.backbone(images)), atol=1e-6)
    model.train()
    assert not any(module.training for module in cast("nn.Module", model.frozen_part).modules())
    model(images).sum().backward()
    moved = {key for key, value in model.backbone.named_parameters() if value.grad is not None}
    assert moved == {key for key, value in model.backbone.named_parameters() if value.requires_grad}
    sequence, _, number = LAST[name].partition(".")
    stages = {int(key.split(".")[1]) for key in moved if key.startswith(f"{sequence}.")}
    assert stages == {int(number)}
    assert not [key for key in moved if key.startswith(("stem", "conv_stem", "patch_embed", "pos", "cls", "reg"))]


@pytest.mark.parametrize(
    ("name", "strategy", "shape"),
    [
        ("test_efficientnet", {"strategy": "freeze"}, (256,)),
        ("test_vit4", {"strategy": "partial", "trained": "blocks.8"}, (1 + 2 * 2, 96)),
        ("test_convnext", {"strategy": "partial", "trained": "stages.3"}, (2, 2, 48)),
    ],
)
def test_kept_features_train_to_the_same_weights(
    cache_dir: Path, name: str, strategy: dict[str, Any], shape: tuple[int, ...]
) -> None:
    quiet.quieten_lightning()
    results = []
    for cached in (True, False):
        data = data_of(Phantom, cases=6, size=32, batch_size=16, transforms=Transforms(), cache_dir=str(cache_dir))
        data.setup()
        model = _classifier(name, **strategy, optimizer=partial(torch.optim.SGD, lr=0.01), monitored="test")
        if cached:
            kept = features.cached(cast("nn.Module", model.frozen_part), data, "32-true", torch.device("cpu"))
            assert kept is not None
            assert kept[0].shape[1:] == shape
            data.store.features = kept
        trainer = L.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(model, data)
        results.append((model.history, model.state_dict()))
    (history, state), (slow_history, slow_state) = results
    assert history[0]["test"] == pytest.approx(slow_history[0]["test"])
    torch.testing.assert_close(state, slow_state)  # not to the last bit: batches of other sizes round differently


def test_a_transformer_is_explained_where_its_patches_are() -> None:
    model = _classifier("test_vit", image_size=64).eval()
    images = torch.randn(2, 3, 64, 64)
    found = torch.tensor(gradcam.explainer(model, 1, 64)(images))
    network = cast("Any", model.backbone)
    tokens = network.patch_drop(network._pos_embed(network.patch_embed(images)))
    tokens = network.blocks[:-1](network.norm_pre(tokens)).detach().requires_grad_()
    logits = model.head(network.norm(network.blocks[-1](tokens))[:, 0])  # the class token is read
    (gradient,) = torch.autograd.grad(logits[:, 1].sum(), tokens)
    weights = gradient[:, 1:].mean(1, keepdim=True)
    coarse = F.relu((weights * tokens[:, 1:]).sum(2)).view(2, 1, 4, 4)
    assert coarse.max() > 0
    expected = F.interpolate(coarse, (64, 64), mode="bilinear")[:, 0].detach()
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("name", ["test_convnext", "test_efficientnet", "test_vit4"])
def test_a_heat_map_has_the_images_size(name: str) -> None:
    model = _classifier(name, image_size=64, strategy="freeze").eval()
    assert gradcam.explainer(model, 0, 64)(torch.randn(2, 3, 64, 64)).shape == (2, 64, 64)


def test_a_network_without_maps_is_not_explained() -> None:
    with pytest.raises(ValueError, match="explain=gradcam: test_mambaout has no last block of feature maps"):
        gradcam.explainer(_classifier("test_mambaout").eval(), 0, 32)


@pytest.mark.parametrize("name", LAST)
@pytest.mark.parametrize("channels", [1, 3, 8])
def test_equal_neighbours_change_nothing(name: str, channels: int) -> None:
    images = torch.randn(1, channels, 32, 32)
    alone = _classifier(name, channels=channels).backbone.eval()
    among = _classifier(name, channels=channels, neighbours=1).backbone.eval()
    with torch.no_grad():
        torch.testing.assert_close(among(images.repeat(1, 3, 1, 1)), alone(images), atol=1e-4, rtol=1e-3)


def test_one_channel_sees_the_sum_of_three() -> None:
    gray = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        color, one = (_classifier("test_vit", channels=count).backbone.eval() for count in (3, 1))
        torch.testing.assert_close(one(gray), color(gray.repeat(1, 3, 1, 1)), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_weights_of_a_file_fill_classifier_and_encoder(tmp_path: Path, suffix: str) -> None:
    given = timm.create_model("test_convnext", num_classes=7)
    path = tmp_path / f"weights.{suffix}"
    save_file(given.state_dict(), path) if suffix == "safetensors" else torch.save(given.state_dict(), path)
    model = _classifier("test_convnext", weights=str(path))
    assert (model.weights.source, model.weights.missing, model.weights.warning) == ("file", [], "")
    images = torch.randn(1, 3, 32, 32)
    cast("Any", given).reset_classifier(0)
    with torch.no_grad():
        assert torch.allclose(model.backbone.eval()(images), given.eval()(images), atol=1e-6)
    segmenter = Segmenter(encoder="test_convnext", num_classes=2, weights=str(path), image_size=32)
    stage = cast("nn.Module", segmenter.network.encoder.model).state_dict()["stages_2.blocks.1.mlp.fc1.weight"]
    assert torch.equal(stage, given.state_dict()["stages.2.blocks.1.mlp.fc1.weight"])
    assert segmenter.weights.missing == []
    torch.save(segmenter.network.encoder.state_dict(), tmp_path / "encoder.pth")
    other = Segmenter(encoder="test_convnext", num_classes=2, weights=str(tmp_path / "encoder.pth"), image_size=32)
    assert (other.weights.missing, other.weights.warning) == ([], "")
    again = _classifier("test_convnext", weights=str(tmp_path / "encoder.pth"))
    assert again.weights.missing == ["head.norm.weight", "head.norm.bias"]  # which a decoder does not need
    assert torch.equal(again.backbone.state_dict()["stages.2.blocks.1.mlp.fc1.weight"], stage)
    with pytest.raises(ValueError, match=r"weights of another model; unknown: .* more$"):
        _classifier("test_efficientnet", weights=str(path))


def test_positions_are_stretched_to_the_size(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(timm.create_model("test_vit", img_size=160).state_dict(), path)
    assert cast("Any", _classifier("test_vit", weights=str(path)).backbone).pos_embed.shape == (1, 1 + 2 * 2, 64)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"weights\.safetensors: damaged, or no safetensors file"):
        _classifier("test_vit", weights=str(path))


def test_the_hubs_weights_come_from_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    given = timm.create_model("test_vit")
    home = tmp_path / "models--timm--test_vit.r160_in1k"
    for folder in ("refs", "snapshots/1"):
        (home / folder).mkdir(parents=True)
    (home / "refs" / "main").write_text("1")
    save_file(given.state_dict(), home / "snapshots" / "1" / "model.safetensors")
    model = _classifier("test_vit", weights="imagenet", image_size=160)
    assert (model.weights.source, model.weights.detail) == ("timm", "timm/test_vit.r160_in1k (apache-2.0)")
    assert torch.equal(model.backbone.state_dict()["pos_embed"], given.state_dict()["pos_embed"])


def test_without_the_hub_auto_warns_and_imagenet_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(url: str, timeout: float) -> None:
        raise OSError(f"{url} not reached in {timeout} s")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    weights = _classifier("test_vit", weights="auto").weights
    assert (weights.source, weights.warning[:18]) == ("none", "pretrained weights")
    with pytest.raises(ValueError, match=r"model.safetensors is neither cached nor reachable .* Fetch the file"):
        _classifier("test_vit", weights="imagenet")
    with pytest.raises(ValueError, match=r"test_vit4 is neither cached nor reachable \(timm publishes none\)"):
        _classifier("test_vit4", weights="imagenet")
