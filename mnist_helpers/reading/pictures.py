"""Picture files of every common kind → upright grey pictures, or one sentence that says what is wrong with the file."""

import errno
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mnist_helpers.errors import CourseError
from mnist_helpers.runtime import is_named_pipe

LARGEST_SIDE = 1_000
LONGER_SIDE = "longer side"  # under which a smaller copy notes what the picture had
SMALLEST_SIDE = 4
BEGINNING = 512  # bytes of a file, in which is looked for what it is
MOST_PIXELS = 50_000_000  # that are unpacked: 200 MB of them, where a pixel has four bytes
# Formats of cameras, scanners and screens; Pillow knows others, of which one (EPS) would run another program.
FORMATS = ("PNG", "JPEG", "MPO", "GIF", "TIFF", "BMP", "WEBP", "AVIF", "JPEG2000", "PPM")
# Several pictures in one file, of which the first is the picture: what some phones write.
PHONE_FORMATS = ("MPO",)
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# What a file begins with (in small letters) that is no picture, whatever its name, and what to do with it.
OTHER_FORMS = {
    b"<html": "a web page, perhaps one that says why there is no picture. Open it in a browser",
    b"<!doctype html": "a web page, perhaps one that says why there is no picture. Open it in a browser",
    b"<svg": "an SVG drawing. Export it as PNG",
    b"<?xml": "an SVG drawing, or another document. Export it as PNG",
    b"%pdf": "a PDF document. Export its page as PNG",
    b"%!ps": "a PostScript document. Export its page as PNG",
    b"pk\3\4": "a zip archive, or a document of an office program. Take the picture out of it",
    b"\x1f\x8b": "a packed file. Unpack it first",
    **dict.fromkeys(
        (b"matlab", b"\x93numpy", b"\x89hdf", b"\0\0\x08"),
        "a file of numbers. Write them as a table (CSV), a line an image",
    ),
}


class PictureError(CourseError):
    """A picture that no digit can be read from."""


def as_picture(picture: Path | str | bytes | np.ndarray | Image.Image) -> Image.Image:
    """Return a picture as `open_picture` does: from a file, its bytes, an array, or a PIL image, which stays as it is.

    Shapes: an array (H, W), (H, W, 3) or (H, W, 4) uint8.
    Raises: PictureError.
    """
    if isinstance(picture, np.ndarray):
        picture = _of_numbers(picture)
    if isinstance(picture, Image.Image):
        with _in_a_sentence("This picture"):
            _check_one_picture("This picture", picture)
            _check_shape("This picture", *picture.size)
            copy = picture.copy()
            copy.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
            return _upright(copy, max(picture.size))
    if isinstance(picture, bytearray | memoryview):
        picture = bytes(picture)
    if not isinstance(picture, Path | str | bytes):
        raise PictureError(
            f"A {type(picture).__name__} is no picture. A file's path or its bytes, an array (uint8) or a PIL image is."
        )
    return open_picture(picture)


def _of_numbers(picture: np.ndarray) -> Image.Image:
    if picture.dtype != np.uint8 or not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] in (3, 4))):
        raise PictureError(
            f"An array of {picture.dtype} with the shape {picture.shape} is no picture; whole numbers from 0 to 255 "
            "are wanted (uint8), in the shape (height, width), (height, width, 3) or, with transparency, 4."
        )
    return Image.fromarray(picture)


def longer_side(picture: Image.Image) -> int:
    """Return how many pixels the longer side of a picture had before it was made smaller."""
    return picture.info.get(LONGER_SIDE, max(picture.size))


def open_picture(path: Path | str | bytes) -> Image.Image:
    """Open a picture file: upright, grey (mode "L"), without transparency, no larger than 1,000 pixels.

    `path` may be the file's bytes, too: a photo that was never stored.

    Raises: PictureError if the file is missing, empty, truncated, not a picture, too large to be one in good faith, or
    an animation.
    """
    if isinstance(path, bytes):
        with _in_a_sentence("This picture", path):
            return _read("This picture", io.BytesIO(path))
    if not str(path):
        raise PictureError("No picture is named: the path is empty.")
    # By name, an uncompressed TIFF is mapped into memory, and there Pillow confuses the sides of a turned one.
    with _in_a_sentence(path):
        _check_file(Path(path))
        with Path(path).open("rb") as file:
            start = file.read(BEGINNING)
            file.seek(0)
            with _in_a_sentence(path, start):
                return _read(path, file)


@contextmanager
def _in_a_sentence(name: Path | str, start: bytes = b"") -> Iterator[None]:
    """Turn whatever goes wrong with a picture into a PictureError; `start` is what its file begins with."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged EXIF block is no reason not to read the picture
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except PictureError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large(name, Image.MAX_IMAGE_PIXELS) from error
    except UnidentifiedImageError as error:
        raise PictureError(f"{name} cannot be read as a picture{_what_it_is(start)}") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno == errno.ENOENT:
            reason = "it does not exist"
        raise PictureError(f"{name} cannot be read as a picture ({reason}).") from error
    except Exception as error:  # Pillow's decoders meet damaged files with nearly any exception
        raise PictureError(f"{name} is damaged and cannot be read as a picture ({error}).") from error


def _check_file(path: Path) -> None:
    if is_named_pipe(path):
        raise PictureError(f"{path} is a pipe, which other programs write to. Save the picture as a file.")
    if path.is_file() and path.stat().st_size == 0:
        raise PictureError(f"{path} is empty (0 bytes). Save the picture again.")


def _read(name: Path | str, file: BinaryIO) -> Image.Image:
    Image.init()
    known = [form for form in FORMATS if form in Image.OPEN]
    with Image.open(file, formats=known) as picture:
        _check_one_picture(name, picture)
        longer = max(picture.size)
        _check_shape(name, *picture.size)
        picture.draft("L", (LARGEST_SIDE, LARGEST_SIDE))  # lets a JPEG be unpacked at a fraction of its size
        if picture.width * picture.height > MOST_PIXELS:
            raise _too_large(name, MOST_PIXELS)
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
        return _upright(picture, longer)


def _upright(picture: Image.Image, longer: int) -> Image.Image:
    upright = _on_paper(ImageOps.exif_transpose(_eight_bits(picture)))
    upright.info = {LONGER_SIDE: longer}
    return upright


def _check_one_picture(name: Path | str, picture: Image.Image) -> None:
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format not in PHONE_FORMATS:
        raise PictureError(f"{name} holds {frames} pictures (an animation, or pages). Save one as a PNG.")


def _check_shape(name: Path | str, width: int, height: int) -> None:
    shape = f"{name} is {width:,} × {height:,} pixels"
    if min(width, height) < SMALLEST_SIDE:
        raise PictureError(f"{shape}: too small to show a digit.")
    if max(width, height) * SMALLEST_SIDE > min(width, height) * LARGEST_SIDE:
        raise PictureError(f"{shape}: too long and narrow to show a digit. Cut out the part with the digit.")


def _too_large(name: Path | str, most: int) -> PictureError:
    return PictureError(
        f"{name} claims to have more than {most / 1e6:.0f} million pixels and was not unpacked. Make it smaller."
    )


def _what_it_is(start: bytes) -> str:
    start = start[:BEGINNING].lower().removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[4:8] == b"ftyp" and start[8:12] in HEIC:
        return ": it is in the HEIC format of iPhones. Export it as JPEG."
    for sign, form in OTHER_FORMS.items():
        if start.startswith(sign) or (sign == b"<html" and sign in start):
            return f": it is {form}."
    return ": it is in no format of cameras or screens. Use a PNG or JPEG file."


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Bring 16 and 32 bits of grey to 8: Pillow itself would cut off everything above 255."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    values = np.asarray(picture).astype(np.float64)
    values = np.nan_to_num(values, posinf=0.0)
    highest = 65_535 if picture.mode.startswith("I") and values.max() > 255 else max(values.max(), 1e-9)
    eight_bits = Image.fromarray((values.clip(0, highest) / highest * 255).round().astype(np.uint8))
    eight_bits.info.update(picture.info)
    return eight_bits


def _on_paper(picture: Image.Image) -> Image.Image:
    """Make a picture grey, and lay a transparent one on paper that its ink stands out from."""
    if not (picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info):
        return picture.convert("RGB").convert("L")
    layered = (picture.convert("LA") if picture.mode == "La" else picture).convert("RGBA")
    grey, alpha = np.asarray(layered.convert("RGB").convert("L")), np.asarray(layered.getchannel("A"))
    seen = grey[alpha >= 128]
    # What is mostly opaque is paper with holes in it; what is mostly transparent is ink alone.
    beside_ink = 255 if seen.size == 0 or seen.mean() < 128 else 0
    paper = int(np.median(seen)) if seen.size > alpha.size / 2 else beside_ink
    return Image.composite(Image.fromarray(grey), Image.new("L", layered.size, paper), layered.getchannel("A"))
