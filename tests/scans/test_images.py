"""Every mode, depth, shape and defect an image file may have."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from brain_tumor.scans.images import FittedImage, FittedMask, fit_image, fit_mask, read_files, read_rgb
from tests.conftest import write_image
from tests.pictures import write_png16


def _picture(path: Path, size: int) -> FittedImage:
    content = read_files(path)
    return fit_image(content.image, size, content.digest)


def _mask(path: Path, size: int) -> FittedMask:
    content = read_files(path, path)
    assert content.mask is not None
    return fit_mask(content.mask, size, content.mask_digest)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "CMYK"])
def test_reads_every_mode(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    if mode in {"I;16", "I"}:
        Image.fromarray(np.random.default_rng(0).integers(0, 4096, (30, 40)).astype(np.uint16)).save(path)
    else:
        write_image(path, mode=mode)
    picture = _picture(path, 32)
    assert picture.pixels.shape == (32, 32, 3)
    assert picture.pixels.dtype == np.uint8
    assert picture.shape == (30, 40)
    assert picture.pixels.max() > 100


def test_16_bit_fills_the_range_instead_of_clipping(tmp_path: Path) -> None:
    ramp = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    pixels = _picture(tmp_path / "ramp.png", 64).pixels[..., 0]
    np.testing.assert_allclose(pixels, ramp / 4095 * 255, atol=0.51)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused(tmp_path: Path, bad: float) -> None:
    values = np.ones((8, 8), np.float32)
    values[3, 3] = bad
    Image.fromarray(values).save(tmp_path / "grey.tif")
    with pytest.raises(ValueError, match=r"grey\.tif: has pixels that are no numbers"):
        _picture(tmp_path / "grey.tif", 8)


def test_transparency_is_laid_over_black(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (255, 255, 255, 0)).save(tmp_path / "clear.png")
    assert _picture(tmp_path / "clear.png", 8).pixels.max() == 0


def test_keeps_the_aspect_by_padding(tmp_path: Path) -> None:
    Image.new("RGB", (80, 40), "white").save(tmp_path / "wide.png")
    pixels = _picture(tmp_path / "wide.png", 32).pixels
    assert (pixels[8:24] == 255).all()
    assert (pixels[:8] == 0).all()
    assert (pixels[24:] == 0).all()


def test_resizes_like_torchvision_on_pillow_images(tmp_path: Path) -> None:
    from torchvision.transforms.functional import resize

    write_image(tmp_path / "square.tif", size=(256, 256))
    with Image.open(tmp_path / "square.tif") as image:
        expected = np.asarray(resize(image, [224, 224]))
    np.testing.assert_array_equal(_picture(tmp_path / "square.tif", 224).pixels, expected)


def test_a_wrong_extension_does_no_harm(tmp_path: Path) -> None:
    write_image(tmp_path / "image.png")
    (tmp_path / "image.png").rename(tmp_path / "really png.JPG")
    assert _picture(tmp_path / "really png.JPG", 32).shape == (30, 40)


def _png() -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(content, "PNG")
    return content.getvalue()


def _tiff() -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(content, "TIFF")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"not an image", "not a readable image"),
        (_png()[:2000], "cut short"),
        (_tiff()[:2000], "cut short"),
        (_tiff()[:-500], "cut short"),
    ],
)
def test_refuses_what_is_no_whole_image(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.tif").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        _picture(tmp_path / "bad.tif", 32)
    assert str(tmp_path / "bad.tif") in str(error.value)


def test_refuses_an_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()  # permissions do not stop a superuser; a folder does
    with pytest.raises(ValueError, match="cannot be read"):
        _picture(tmp_path / "folder.png", 32)


@pytest.mark.parametrize(("values", "positive"), [([0, 255], True), ([0, 1], True), ([0], False), ([255], True)])
def test_reads_two_valued_masks(tmp_path: Path, values: list[int], positive: bool) -> None:
    pixels = np.resize(np.array(values, np.uint8), (16, 16))
    Image.fromarray(pixels).save(tmp_path / "mask.tif")
    mask = _mask(tmp_path / "mask.tif", 16)
    assert mask.positive is positive
    np.testing.assert_array_equal(mask.pixels, pixels > 0)


def test_a_single_foreground_pixel_counts_even_if_resizing_loses_it(tmp_path: Path) -> None:
    pixels = np.zeros((256, 256), np.uint8)
    pixels[0, 1] = 255
    Image.fromarray(pixels).save(tmp_path / "mask.tif")
    assert _mask(tmp_path / "mask.tif", 32).positive


def test_refuses_a_grey_mask(tmp_path: Path) -> None:
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(tmp_path / "mask.tif")
    with pytest.raises(ValueError, match=r"two values.*has 256"):
        _mask(tmp_path / "mask.tif", 16)


DRAWN = np.zeros((16, 12), bool)
DRAWN[3:9, 2:7] = True
CORE = np.zeros_like(DRAWN)
CORE[4:6, 3:5] = True


def _colours(*colours: tuple[int, ...]) -> NDArray[np.uint8]:
    """The background, the tumour and, where there are three, its core in colours."""
    pixels: NDArray[np.uint8] = np.array(colours, np.uint8)[DRAWN.astype(int)]
    if len(colours) > 2:
        pixels[CORE] = colours[2]
    return pixels


def _palette(indices: NDArray[np.uint8], *colours: int) -> Image.Image:
    image = Image.fromarray(indices, "L")
    image.putpalette([*colours, *[0] * (768 - len(colours))])
    return image


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(_colours((0, 0, 0), (1, 0, 0))),  # one-hot, one label
        Image.fromarray(_colours((0, 0, 0), (0, 0, 255))),
        Image.fromarray(_colours((0, 0, 0), (3, 3, 3))),
        Image.fromarray(_colours((0, 0, 0, 255), (0, 255, 0, 255))),
        Image.fromarray(_colours((0, 255), (9, 255))),
        _palette(DRAWN.astype(np.uint8), 0, 0, 0, 128, 0, 0),
        _palette(DRAWN.astype(np.uint8) * 2, 0, 0, 0, 9, 9, 9, 128, 0, 0),
        Image.fromarray(DRAWN),
        Image.fromarray(DRAWN.astype(np.uint16) * 300),
        Image.fromarray(DRAWN.astype(np.int32) * -1),
        Image.fromarray(DRAWN.astype(np.float32) * 0.25),
    ],
)
def test_every_kind_of_mask_keeps_every_pixel(tmp_path: Path, image: Image.Image) -> None:
    image.save(tmp_path / "mask.tif")
    Image.fromarray(np.zeros((16, 12), np.uint8)).save(tmp_path / "image.png")
    np.testing.assert_array_equal(read_files(tmp_path / "image.png", tmp_path / "mask.tif").mask, DRAWN)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.fromarray(_colours((0, 0, 0), (1, 0, 0), (0, 1, 0))), r"this one has 3 colours, such as \(0, 0, 0\)"),
        (Image.fromarray(_colours((1, 0, 0), (0, 1, 0))), "this one has 2 colours"),  # one-hot, with the background
        (Image.fromarray(_colours((0, 0, 0, 255), (255, 0, 0, 128))), "the mask is transparent in places"),
        (Image.fromarray(_colours((255, 0), (255, 255))), "the mask is transparent in places"),
        (_palette(DRAWN.astype(np.uint8), 255, 255, 255, 0, 0, 0), "palette shows index 0 in a colour"),
        (_palette(DRAWN.astype(np.uint8), 0, 0, 0, 0, 0, 0), "or another one in black"),
        (_palette(DRAWN.astype(np.uint8) + CORE, 0, 0, 0, 9, 9, 9, 128, 0, 0), "this one has 3 from 0 to 2"),
        (Image.fromarray(np.where(DRAWN, 2, 1).astype(np.uint16)), "this one has 2 from 1 to 2"),
        (Image.fromarray(np.where(DRAWN, 0.5, np.nan).astype(np.float32)), "NaN"),
        (Image.new("CMYK", (12, 16)), "a mask in CMYK colours"),
    ],
)
def test_refuses_masks_that_can_be_read_in_two_ways(tmp_path: Path, image: Image.Image, message: str) -> None:
    image.save(tmp_path / "mask.tif" if image.mode != "LA" else tmp_path / "mask.png")
    path = next(tmp_path.iterdir())
    with pytest.raises(ValueError, match=message) as error:
        _mask(path, 16)
    assert str(path) in str(error.value)


def test_a_deep_mask_in_colours(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((16, 12), np.uint8)).save(tmp_path / "image.png")
    for name, colours, clear in (("one", 1, 65535), ("clear", 1, 9), ("two", 2, 65535)):
        pixels = np.zeros((16, 12, 4), np.uint16)
        pixels[DRAWN, 0] = 1
        pixels[CORE, colours - 1] = 1
        pixels[..., 3] = clear
        write_png16(tmp_path / f"{name}.png", pixels)
    np.testing.assert_array_equal(read_files(tmp_path / "image.png", tmp_path / "one.png").mask, DRAWN)
    for name, message in (("clear", "transparent in places"), ("two", "has 3 colours")):
        with pytest.raises(ValueError, match=message):
            read_files(tmp_path / "image.png", tmp_path / f"{name}.png")


def test_a_strip_is_no_slice(tmp_path: Path) -> None:
    """Fitted into a square it would be thinner than a pixel, and black."""
    Image.new("L", (3000, 1), 200).save(tmp_path / "line.png")
    for read in (read_rgb, read_files):
        with pytest.raises(ValueError, match=r"line\.png: has 3000 x 1 pixels: a strip"):
            read(tmp_path / "line.png")
