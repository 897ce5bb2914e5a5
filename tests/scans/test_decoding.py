"""What a file holds, however it holds it: turned, deep, of other numbers, of several pages."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from brain_tumor.scans import decoding
from brain_tumor.scans.images import read_files, read_rgb
from tests.pictures import write_png16, write_tiff

AIR, BRAIN, LESION = 0, 1600, 4000  # 12 bits, as a scanner has them
# How a file must lie for a viewer that obeys orientation 1 to 8 to show the same.
LAID: list[Callable[[NDArray[Any]], NDArray[Any]]] = [
    lambda a: a, np.fliplr, lambda a: np.rot90(a, 2), np.flipud, lambda a: a.T, np.rot90,
    lambda a: np.rot90(a, 2).T, lambda a: np.rot90(a, 3),
]  # fmt: skip


def _grey(dtype: str = "u2") -> NDArray[Any]:
    values = np.full((6, 5), AIR)
    values[2:, 1:] = BRAIN
    values[3, 4] = LESION
    return values.astype(dtype)


def _levels(path: Path) -> list[int]:
    """Return air, brain and lesion of what `_grey` was written to; a picture in grey has three equal channels."""
    for read in (read_rgb(path), read_files(path).image):
        assert read.shape == (6, 5, 3)
        assert (read == read[..., :1]).all()
    return [int(read[place][0]) for place in ((0, 0), (5, 2), (3, 4))]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("suffix", "settings"),
    [("jpg", {"quality": 100}), ("png", {}), ("tif", {}), ("tif", {"compression": "tiff_lzw"})],
)
def test_is_turned_as_viewers_do(tmp_path: Path, suffix: str, settings: dict[str, Any], orientation: int) -> None:
    shown = np.zeros((40, 24), np.uint8)
    shown[:8, :8], shown[:8, 16:], shown[32:, :8] = 255, 128, 64  # no turn looks like another
    laid = Image.fromarray(np.ascontiguousarray(LAID[orientation - 1](shown)))
    tag = Image.Exif()
    tag[0x0112] = orientation
    laid.save(tmp_path / f"image.{suffix}", exif=tag, **settings)
    image = read_files(tmp_path / f"image.{suffix}").image
    np.testing.assert_allclose(image[..., 0].astype(int), shown, atol=3)
    np.testing.assert_array_equal(read_rgb(tmp_path / f"image.{suffix}"), image)
    if suffix != "jpg":  # a mask is turned alike
        marked = Image.fromarray(np.ascontiguousarray(LAID[orientation - 1]((shown == 255).astype(np.uint8))))
        marked.save(tmp_path / f"mask.{suffix}", exif=tag, **settings)
        mask = read_files(tmp_path / f"image.{suffix}", tmp_path / f"mask.{suffix}").mask
        np.testing.assert_array_equal(mask, shown == 255)


def test_a_deep_picture_is_turned_too(tmp_path: Path) -> None:
    write_tiff(tmp_path / "turned.tif", np.rot90(np.repeat(_grey()[..., None], 3, 2)).copy(), t274=6)
    assert _levels(tmp_path / "turned.tif") == [0, 102, 255]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_a_channel_of_png(tmp_path: Path, channels: int) -> None:
    values = np.repeat(_grey()[..., None], channels, 2)
    if channels in {2, 4}:
        values[..., -1] = 65535
    write_png16(tmp_path / "deep.png", values)
    assert _levels(tmp_path / "deep.png") == [0, 102, 255]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u2", "i2", "i4", "f4", "rgb"])
def test_numbers_of_tiff(tmp_path: Path, dtype: str, order: Literal["<", ">"], packed: bool) -> None:
    values = np.repeat(_grey()[..., None], 3, 2) if dtype == "rgb" else _grey(dtype)
    write_tiff(tmp_path / "deep.tif", values, order, packed)
    assert _levels(tmp_path / "deep.tif") == [0, 102, 255]


def test_channels_share_one_scale(tmp_path: Path) -> None:
    write_png16(tmp_path / "deep.png", np.stack([_grey(), _grey() // 2, _grey() // 4], -1))
    assert read_rgb(tmp_path / "deep.png")[3, 4].tolist() == [255, 128, 64]


def test_transparency_of_deep_pictures_is_laid_over_black(tmp_path: Path) -> None:
    values = np.repeat(_grey()[..., None], 4, 2)
    values[..., 3] = 65535
    values[3, 4, 3] = 0
    write_png16(tmp_path / "channel.png", values)
    assert _levels(tmp_path / "channel.png") == [0, 255, 0]
    write_png16(tmp_path / "value.png", _grey(), clear=[LESION])
    assert _levels(tmp_path / "value.png") == [0, 255, 0]
    write_png16(tmp_path / "colour.png", values[..., :3], clear=[BRAIN] * 3)
    assert _levels(tmp_path / "colour.png") == [0, 0, 255]


@pytest.mark.parametrize(
    ("values", "tags", "message"),
    [
        (_grey(), {"t262": 0}, "stores white as 0 in more than 8 bits"),
        (_grey("i1"), {}, "stores signed 8-bit values"),
        (np.repeat(_grey()[..., None], 4, 2), {"t262": 5}, "stores more than 8 bits a channel in a rare form"),
        (np.repeat(_grey()[..., None], 4, 2), {"t338": [1]}, "stores more than 8 bits a channel in a rare form"),
        (_grey("i2") - 1000, {}, "has values from -1000 to 3000; those below 0 would all be black"),
        (_grey("f4") / 1000 - 1, {}, "has values from -1 to 3; those below 0"),
    ],
)
def test_refuses_by_name_what_would_come_out_otherwise(
    tmp_path: Path, values: NDArray[Any], tags: dict[str, Any], message: str
) -> None:
    write_tiff(tmp_path / "odd.tif", values, **tags)
    for read in (read_files, read_rgb):
        with pytest.raises(ValueError, match=rf"odd\.tif: {message}") as error:
            read(tmp_path / "odd.tif")
        assert "cut short" not in str(error.value)


def test_channels_apart_are_refused_where_they_are_deep(tmp_path: Path) -> None:
    planes = np.concatenate([_grey()] * 3)
    write_tiff(tmp_path / "odd.tif", planes, t257=6, t258=[16] * 3, t262=2, t277=3, t284=2, t339=[1] * 3)
    with pytest.raises(ValueError, match=r"odd\.tif: stores its channels apart"):
        read_rgb(tmp_path / "odd.tif")


def test_what_resampling_brings_below_0_is_black(tmp_path: Path) -> None:
    values = _grey("f4")
    values[0, 0] = -0.01 * LESION
    write_tiff(tmp_path / "resampled.tif", values)
    assert _levels(tmp_path / "resampled.tif") == [0, 102, 255]


def _save(path: Path, pages: int, **settings: Any) -> None:
    pictures = [Image.fromarray(np.full((8, 8), 40 * page, np.uint8)) for page in range(1, pages + 1)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **settings)


@pytest.mark.parametrize(("name", "form"), [("a.tif", "TIFF"), ("a.png", "PNG"), ("gif.png", "GIF"), ("w.png", "WEBP")])
def test_several_pages_are_refused_as_images_and_as_masks(tmp_path: Path, name: str, form: str) -> None:
    _save(tmp_path / name, 3, format=form)
    _save(tmp_path / "one.png", 1, format=form)
    (tmp_path / "image.png").write_bytes((tmp_path / "one.png").read_bytes())
    assert read_files(tmp_path / "image.png").image.shape == (8, 8, 3)
    for read in (
        lambda: read_files(tmp_path / name),
        lambda: read_rgb(tmp_path / name),
        lambda: read_files(tmp_path / "image.png", tmp_path / name),
    ):
        with pytest.raises(ValueError, match=rf"{name}: has 3 pages; give each by itself$"):
            read()


def test_a_phones_photograph_is_its_first_picture(tmp_path: Path) -> None:
    first = Image.fromarray(np.tile(np.arange(0, 240, 10, dtype=np.uint8), (24, 1))).convert("RGB")
    first.save(tmp_path / "photo.jpg", format="MPO", save_all=True, append_images=[first.resize((8, 8))])
    with Image.open(tmp_path / "photo.jpg") as image:
        assert getattr(image, "n_frames", 1) == 2
    for read in (read_files(tmp_path / "photo.jpg").image, read_rgb(tmp_path / "photo.jpg")):
        np.testing.assert_allclose(read.astype(int), np.asarray(first).astype(int), atol=8)


def test_a_thumbnail_behind_a_page_is_no_page(tmp_path: Path) -> None:
    page, small = Image.new("L", (16, 16), 200), Image.new("L", (4, 4), 100)
    for name, order in (("behind.tif", (page, small)), ("before.tif", (small, page))):
        pictures = []
        for picture in order:
            kept = picture.copy()
            kept.encoderinfo = {"tiffinfo": _subfile(picture is small)}
            pictures.append(kept)
        pictures[0].save(
            tmp_path / name, save_all=True, append_images=pictures[1:], tiffinfo=_subfile(order[0] is small)
        )
    assert read_rgb(tmp_path / "behind.tif").shape == (16, 16, 3)
    with pytest.raises(ValueError, match=r"before\.tif: has 2 pages"):
        read_rgb(tmp_path / "before.tif")


def _subfile(thumbnail: bool) -> TiffImagePlugin.ImageFileDirectory_v2:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[254] = int(thumbnail)
    return tags


def test_too_little_memory_is_no_bad_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "good.png")

    def fail(error: Exception) -> Callable[[Any], None]:
        def load(self: Any) -> None:  # noqa: ARG001, Pillow's signature
            raise error

        return load

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail(MemoryError()))
    with pytest.raises(MemoryError):
        decoding.open_image(tmp_path / "good.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", fail(OSError("out of memory error when reading image file")))
    with pytest.raises(ValueError, match=r"good\.png: there is not enough memory to decode it") as error:
        decoding.open_image(tmp_path / "good.png")
    assert "cut short" not in str(error.value)
