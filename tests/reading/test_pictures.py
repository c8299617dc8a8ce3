"""Every kind of picture file, whole and broken."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from mnist_helpers.reading.pictures import LARGEST_SIDE, PictureError, as_picture, open_picture


def drawn(mode: str = "L", paper=230, ink=20) -> Image.Image:
    """Draw a seven: its bar is at the top, so that a turned picture is noticed."""
    picture = Image.new("L", (300, 200), paper)
    ImageDraw.Draw(picture).line([(60, 40), (120, 40), (80, 130)], fill=ink, width=12)
    return picture.convert(mode)


def close_to(picture: Image.Image, expected: Image.Image, grey_levels: float = 4) -> bool:
    assert picture.mode == "L"
    assert picture.size == expected.size
    return np.abs(np.asarray(picture).astype(float) - np.asarray(expected)).mean() < grey_levels


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("L", "a.png"), ("RGB", "a.png"), ("P", "a.png"), ("RGBA", "a.png"), ("LA", "a.png"),
        ("RGB", "a.jpg"), ("L", "a.jpg"), ("CMYK", "a.jpg"), ("CMYK", "a.tif"), ("RGB", "a.bmp"), ("P", "a.gif"),
        ("RGB", "a.webp"), ("L", "a.tif"), ("RGB", "a.ppm"), ("YCbCr", "a.jpg"), ("LAB", "a.tif"),
    ],
)  # fmt: skip
def test_a_picture_of_any_kind_is_read_as_the_same_grey(tmp_path, mode, name):
    if mode == "LAB":
        from PIL import ImageCms

        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        picture = ImageCms.profileToProfile(drawn("RGB"), srgb, lab, outputMode="LAB")
    else:
        picture = drawn(mode)
    picture.save(tmp_path / name)
    assert close_to(open_picture(tmp_path / name), drawn(), 40 if mode == "LAB" else 4)  # its profile is not read


def test_one_bit_is_black_and_white(tmp_path):
    drawn(paper=255, ink=0).convert("1").save(tmp_path / "a.png")
    assert close_to(open_picture(tmp_path / "a.png"), drawn(paper=255, ink=0), 0.1)


@pytest.mark.parametrize(
    ("dtype", "scale", "white"),
    [(np.uint16, 257, 255), (np.int32, 257, 255), (np.uint16, 1, 230), (np.int32, 1, 230), (np.float32, 1 / 255, 230)],
)
def test_deep_grey_is_brought_to_eight_bits(tmp_path, dtype, scale, white):
    """The range of the numbers if they use it, else the brightest of them, becomes white."""
    grey = np.asarray(drawn(ink=0)).astype(float)
    name = "a.png" if dtype == np.uint16 else "a.tif"
    Image.fromarray((grey * scale).astype(dtype)).save(tmp_path / name)
    expected = Image.fromarray((grey / white * 255).round().astype(np.uint8))
    assert close_to(open_picture(tmp_path / name), expected, 0.01)


def test_a_deep_picture_without_any_light_is_black(tmp_path):
    Image.fromarray(np.zeros((20, 30), np.uint16)).save(tmp_path / "a.png")
    assert not np.asarray(open_picture(tmp_path / "a.png")).any()


def test_values_that_are_no_numbers_are_black_and_leave_the_others_as_they_are(tmp_path):
    values = np.asarray(drawn()).astype(np.float32)
    expected = (values / values.max() * 255).round()
    values[0, :3] = [np.nan, np.inf, -np.inf]
    expected[0, :3] = 0
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert np.array_equal(np.asarray(open_picture(tmp_path / "a.tif")), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_phone_held_sideways_gives_an_upright_picture(tmp_path, orientation):
    turned = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    picture = drawn() if turned is None else drawn().transpose(turned)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert close_to(open_picture(tmp_path / "a.jpg"), drawn())
    deep = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    for form, name, options in [
        (deep, "a.png", {}),
        (deep, "a.tif", {}),
        (picture, "a.tif", {}),
        (picture, "a.tif", {"compression": "tiff_lzw"}),
    ]:
        form.save(tmp_path / name, exif=exif, **options)
        assert close_to(open_picture(tmp_path / name), drawn(), 0.01)


def layered(ink: int, size=(300, 200)) -> Image.Image:
    picture = Image.new("RGBA", size, (0, 0, 0, 0))
    ImageDraw.Draw(picture).line([(60, 40), (120, 40), (80, 130)], fill=(ink, ink, ink, 255), width=12)
    return picture


@pytest.mark.parametrize("ink", [20, 240])
def test_transparent_pictures_keep_their_ink_whether_dark_or_bright(tmp_path, ink):
    layered(ink).save(tmp_path / "a.png")
    grey = np.asarray(open_picture(tmp_path / "a.png")).astype(int)
    assert abs(grey[40, 90] - grey[0, 0]) > 200


def test_paper_with_transparent_corners_has_no_dark_corners(tmp_path):
    picture = drawn("RGBA")
    alpha = Image.new("L", picture.size, 0)
    ImageDraw.Draw(alpha).rounded_rectangle([0, 0, 299, 199], 30, fill=255)
    picture.putalpha(alpha)
    picture.save(tmp_path / "a.png")
    assert close_to(open_picture(tmp_path / "a.png"), drawn())


@pytest.mark.parametrize(("opaque", "paper"), [(40, 0), (60, 200)])
def test_what_is_mostly_opaque_is_paper_and_what_is_mostly_transparent_is_ink(tmp_path, opaque, paper):
    picture = Image.new("LA", (100, 50), (0, 0))
    picture.paste((200, 255), (0, 0, opaque, 50))
    picture.save(tmp_path / "a.png")
    grey = np.asarray(open_picture(tmp_path / "a.png"))
    assert (grey[:, :opaque] == 200).all()
    assert (grey[:, opaque:] == paper).all()


def test_a_picture_that_is_transparent_everywhere_is_blank_paper(tmp_path):
    Image.new("RGBA", (30, 20), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert (np.asarray(open_picture(tmp_path / "a.png")) == 255).all()


def test_transparency_of_a_palette_counts(tmp_path):
    layered(20).quantize(8).save(tmp_path / "a.png")
    grey = np.asarray(open_picture(tmp_path / "a.png"))
    assert grey[0, 0] > 230
    assert grey[40, 90] < 60


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_large_photo_is_made_smaller(tmp_path, name):
    drawn("RGB").resize((4000, 3000)).save(tmp_path / name)
    assert max(open_picture(tmp_path / name).size) == LARGEST_SIDE


def test_a_phone_s_double_picture_is_one_picture(tmp_path):
    drawn("RGB").save(tmp_path / "a.mpo", save_all=True, append_images=[drawn("RGB")])
    assert close_to(open_picture(tmp_path / "a.mpo"), drawn())


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_an_animation_is_refused_with_its_number_of_pictures(tmp_path, name):
    frames = [drawn("RGB"), drawn("RGB", paper=200), drawn("RGB", paper=180)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    with pytest.raises(PictureError, match="holds 3 pictures"):
        open_picture(tmp_path / name)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("side", [12_000, 100_000])
def test_a_decompression_bomb_is_not_unpacked(tmp_path, side):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))))
    with pytest.raises(PictureError, match="claims to have more than 89 million pixels"):
        open_picture(tmp_path / "a.png")


def test_a_bomb_in_a_text_of_a_png_is_refused(tmp_path):
    whole = io.BytesIO()
    drawn().save(whole, "PNG")
    start, rest = whole.getvalue()[:33], whole.getvalue()[33:]
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000)))
    (tmp_path / "a.png").write_bytes(start + bomb + rest)
    with pytest.raises(PictureError, match="a.png"):
        open_picture(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"no picture", "in no format of cameras or screens"),
        (b"GIF89a", "cannot be read as a picture"),
        (b"\x89PNG\r\n\x1a\n", "cannot be read as a picture"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC format of iPhones"),
        (b"\0\0\0\x18ftypmsf1" + bytes(40), "HEIC format of iPhones"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"\n<?xml version='1.0'?><svg/>", "an SVG drawing"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript document"),
        (b"<!DOCTYPE html><title>404</title>", "a web page"),
        (b"\xef\xbb\xbf\r\n<HTML>", "a web page"),
        (b"<?xml version='1.0'?><!-- --><html xmlns='x'>", "a web page"),
        (b"PK\3\4" + bytes(100), "a zip archive"),
        (b"{}", "in no format"),
        (b"\x1f\x8b\x08" + bytes(100), "a packed file. Unpack it first"),
        (b"\x93NUMPY\x01\x00" + bytes(100), "numbers. Write them as a table"),
        (b"MATLAB 5.0 MAT-file" + bytes(100), "numbers. Write them as a table"),
    ],
)
def test_what_is_not_a_picture_is_said_plainly(tmp_path, content, message):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(PictureError, match=message):
        open_picture(tmp_path / "a.png")


def test_a_folder_and_a_missing_file_are_said_plainly(tmp_path):
    with pytest.raises(PictureError, match="Is a directory"):
        open_picture(tmp_path)
    with pytest.raises(PictureError, match="does not exist"):
        open_picture(tmp_path / "none.png")
    with pytest.raises(PictureError, match="cannot be read"):
        open_picture("nul\0byte.png")


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="This system's shell hands over no files.")
def test_what_a_shell_hands_over_is_not_called_empty():
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(b"a picture")
    with pytest.raises(PictureError, match=f"/dev/fd/{reading} cannot be read as a picture"):
        open_picture(f"/dev/fd/{reading}")
    os.close(reading)


def test_a_picture_of_a_few_pixels_is_too_small(tmp_path):
    Image.new("L", (3, 50), 255).save(tmp_path / "a.png")
    with pytest.raises(PictureError, match="3 × 50 pixels: too small"):
        open_picture(tmp_path / "a.png")


@pytest.mark.parametrize("size", [(4, 4), (1_000, 4), (4, 1_000)])
def test_the_smallest_and_the_longest_pictures_are_read(tmp_path, size):
    Image.new("L", size, 255).save(tmp_path / "a.png")
    assert open_picture(tmp_path / "a.png").size == size


def saved(kind: str) -> bytes:
    whole = io.BytesIO()
    drawn("RGB").save(whole, kind)
    return whole.getvalue()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"]), data=st.data())
def test_damage_of_any_kind_gives_a_picture_or_a_sentence(tmp_path, kind, data):
    content = bytearray(saved(kind))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a").write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        mode, message = open_picture(tmp_path / "a").mode, ""
    except PictureError as error:
        mode, message = "", str(error)
    assert mode == "L" or len(message.splitlines()) == 1


@pytest.mark.parametrize("size", [(4, 20_000_000), (20_000_000, 4), (1_004, 4)])
def test_a_picture_too_long_and_narrow_is_refused_by_its_shape(tmp_path, size):
    """Its header is all that there is: nothing is unpacked."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 0, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(PictureError, match=f"{size[0]:,} × {size[1]:,} pixels: too long and narrow"):
        open_picture(tmp_path / "a.png")


def test_more_pixels_than_fit_into_memory_are_refused_unless_they_can_be_unpacked_smaller(tmp_path):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 9_300, 9_300, 16, 6, 0, 0, 0))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    with pytest.raises(PictureError, match="more than 50 million pixels"):
        open_picture(tmp_path / "a.png")
    Image.new("L", (9_300, 9_300), 200).save(tmp_path / "a.jpg")
    assert open_picture(tmp_path / "a.jpg").size == (LARGEST_SIDE, LARGEST_SIDE)


def test_a_deep_picture_is_made_smaller_before_it_is_converted(tmp_path):
    deep = np.asarray(drawn().resize((3_000, 2_000), Image.Resampling.NEAREST)).astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "a.png")
    assert close_to(open_picture(tmp_path / "a.png"), drawn().resize((1_000, 667), Image.Resampling.BOX), 12)


def unread(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def closed() -> Image.Image:
    picture = drawn()
    picture.close()
    return picture


def half(picture: Image.Image) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return unread(file.getvalue()[: len(file.getvalue()) // 2])


def moving() -> Image.Image:
    file = io.BytesIO()
    drawn().save(file, "GIF", save_all=True, append_images=[drawn(ink=90)])
    return unread(file.getvalue())


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (None, "^A NoneType is no picture. A file's path or its bytes, "),
        ([1] * 1_000, "^A list is no picture"),
        (io.BytesIO(b"x"), "^A BytesIO is no picture"),
        (closed, "^This picture is damaged"),
        (lambda: half(drawn()), "^This picture cannot be read as a picture"),
        (moving, "^This picture holds 2 pictures"),
        ("", "^No picture is named"),
    ],
)
def test_whatever_is_given_is_a_picture_or_a_short_sentence(picture, message):
    given_one = picture() if callable(picture) else picture
    with pytest.raises(PictureError, match=message) as error:
        as_picture(given_one)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_transparency_that_is_multiplied_in_is_read_as_well(mode):
    plain = drawn("LA" if mode == "La" else "RGBA")
    assert close_to(as_picture(plain.convert(mode)), drawn())


def test_the_bytes_of_a_file_may_come_in_any_container(tmp_path):
    drawn().save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    for container in (bytearray, memoryview):
        assert as_picture(container(content)).tobytes() == as_picture(content).tobytes()
