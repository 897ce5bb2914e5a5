"""Build segmentation networks: an encoder, and a decoder of segmentation-models-pytorch."""

from typing import TYPE_CHECKING, Any

from brain_tumor.config.errors import one_line
from brain_tumor.models import encoders

if TYPE_CHECKING:
    from segmentation_models_pytorch.base import SegmentationModel

# Classes of the library, with the settings that make them small enough for two cores.
NAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "unet": ("Unet", {"decoder_channels": (128, 64, 32, 16, 8)}),
    "unetplusplus": ("UnetPlusPlus", {"decoder_channels": (128, 64, 32, 16, 8)}),
    "fpn": ("FPN", {}),
    "deeplabv3plus": ("DeepLabV3Plus", {}),
}


def build(encoder: str, decoder: str, classes: int = 1, size: int = 224) -> "SegmentationModel":
    """Build a network with random weights: images (B, 3, H, W) to logits (B, classes, H, W).

    Args:
        encoder: the name of a ResNet of torchvision's, or of a network of timm's.
        decoder: one of `NAMES`.
        classes: number of outputs.
        size: side of the images, in pixels.

    Raises:
        ValueError: the encoder is unknown, or the decoder cannot use it.
    """
    # Imported late, since it imports timm, and only segmenters need it.
    import segmentation_models_pytorch as smp

    name, settings = NAMES[decoder]
    make = getattr(smp, name)
    network: SegmentationModel
    if not encoders.is_timm(encoder):
        if encoder == encoders.PLAIN:
            raise ValueError(f"model.encoder={encoder}: has no stages for a decoder; choose resnet18 or one of timm's")
        network = make(encoder, encoder_weights=None, classes=classes, **settings)
        return network
    encoders.require_known("model.encoder", encoder)
    from brain_tumor.models import timm_backbone

    settings = {**settings, **timm_backbone.size_argument(encoder, size)}
    try:
        network = make(f"tu-{encoder}", encoder_weights=None, classes=classes, **settings)
    except (AssertionError, RuntimeError, ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise ValueError(
            f"model.encoder={encoder}: model.decoder={decoder} cannot use it ({one_line(error)}); choose a network "
            "whose stages halve the resolution one after the other, such as convnext_tiny or efficientnet_b0"
        ) from error
    return network
