"""Build segmentation networks: an encoder, and a decoder of segmentation-models-pytorch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segmentation_models_pytorch.base import SegmentationModel

# Classes of the library, with the settings that make them small enough for two cores.
NAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "unet": ("Unet", {"decoder_channels": (128, 64, 32, 16, 8)}),
    "unetplusplus": ("UnetPlusPlus", {"decoder_channels": (128, 64, 32, 16, 8)}),
    "fpn": ("FPN", {}),
    "deeplabv3plus": ("DeepLabV3Plus", {}),
}


def build(encoder: str, decoder: str, classes: int = 1) -> "SegmentationModel":
    """Build a network with random weights: images (B, 3, H, W) to logits (B, classes, H, W).

    Args:
        encoder: a ResNet's name.
        decoder: one of `NAMES`.
        classes: number of outputs.
    """
    # Imported late, since it imports timm, and only segmenters need it.
    import segmentation_models_pytorch as smp

    name, settings = NAMES[decoder]
    network: SegmentationModel = getattr(smp, name)(encoder, encoder_weights=None, classes=classes, **settings)
    return network
