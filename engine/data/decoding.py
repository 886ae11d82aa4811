"""From the bytes of an image file to pixels. Runs in the reading process only (see reader_child.py), never in the program itself.

Formats come from an allow-list. Sizes are checked before anything is decoded. What was changed on the way is said in notes.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import AvifImagePlugin, Image, ImageOps, UnidentifiedImageError

from engine.data import dicom
from engine.data.errors import Bad as Bad
from engine.data.extras import how_to_get, library
from engine.data.limits import LONGEST_SIDE, MAX_FILE_BYTES, MAX_FRAMES, MAX_PIXELS, MIB
from engine.data.pixel_facts import Facts, contrasts, facts_of_values
from engine.data.plain_png import decode_plain
from engine.data.preprocessing import GROUNDS, Preprocessing, looks_transparent
from engine.data.values import DARK, Range, Scaling, scaling_for

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM", "ICO", "JPEG2000", "SGI")  # JPEG includes MPO

_OTHERS = (  # (place, bytes, name) of formats that are known and not read
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"),
    (0, b"DDS ", "a DirectDraw surface (DDS)"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript drawing"),
    (0, b"<svg", "an SVG drawing"),
    (4, b"\x11\xaf", "an FLI animation"),
    (4, b"\x12\xaf", "an FLC animation"),
    *((0, bytes((0, 0, kind, 0, 0, 0, 0, 0)), "a Targa image (TGA)") for kind in (2, 3, 10, 11)),  # without a colour map: five zeros
    *((0, bytes((0, 1, kind, 0, 0)), "a Targa image (TGA)") for kind in (1, 9)),
    (0, b"\x00\x00\x02\x00", "a cursor"),  # the number of its images follows, which is no zero
    (0, b"PK\x03\x04", "a ZIP archive"),
)
_SIGNATURES = (
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"RIFF", "WebP"),
)


_AT_ONCE = (  # opens without waiting for a writer, in case the file has become a pipe
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
)
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # brands of ISO/IEC 23008-12


@dataclass
class Look:
    """What the header says."""

    width: int
    height: int  # both after turning upright
    channels: int
    frames: int = 1
    facts: Facts = field(default_factory=dict)  # of its values, for the decisions about a whole set


def read_bytes(path: str, ordinary: bool = False) -> bytes:
    """The content of a file within the limit; `ordinary` where its folder lists it as an ordinary file, which is looked at once then.

    Raises: Bad: no ordinary file, too large or not readable.
    """
    try:
        if not ordinary:
            _check(os.stat(path))
        file = os.open(path, _AT_ONCE)
        try:
            status = os.fstat(file)
            _check(status)
            if status.st_size == 0:  # also what the kernel makes up while it is read, perhaps without end
                return b""
            data = os.read(file, status.st_size + 1)
            return data if len(data) == status.st_size else data + _rest(file)
        finally:
            os.close(file)
    except FileNotFoundError:
        if os.path.islink(path):
            raise Bad("it is a link that leads nowhere; remove it, or put the file back") from None
        raise Bad("there is no such file; check the path") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name is impossible"
        raise Bad(f"it cannot be opened ({why}); check its permissions") from None


def _check(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise Bad("it is a folder; open it as a data set instead")
    if not stat.S_ISREG(status.st_mode):
        raise Bad("it is no ordinary file; choose an image file")
    if status.st_size > MAX_FILE_BYTES:
        raise Bad(f"it has {status.st_size / MIB:,.0f} MB and the limit is {MAX_FILE_BYTES // MIB} MB; save it smaller")


def _rest(file: int) -> bytes:
    """What was written meanwhile, or came in small pieces."""
    rest = bytearray()
    while piece := os.read(file, MIB):
        rest += piece
        if len(rest) > MAX_FILE_BYTES:
            raise Bad(f"it grows while it is read, beyond the limit of {MAX_FILE_BYTES // MIB} MB; save it smaller")
    return bytes(rest)


def look(data: bytes) -> Look:
    """Size and channels from the header, without decoding."""
    if dicom.is_dicom(data):
        about = dicom.header(data)
        return Look(about.width, about.height, about.channels, about.frames)
    with _opened(data) as image:
        width, height = image.size
        known = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
        # Pillow turns a TIFF by itself, and decodes a whole PNG in search of a tag behind its pixels
        if known and _orientation(image) in (5, 6, 7, 8):
            width, height = height, width
        return Look(width, height, 1 if _is_grey(image) else 3, _frames(image))


def decode(data: bytes, how: Preprocessing | None = None, page: int | None = None) -> tuple[np.ndarray, list[str], Look]:
    """Pixels uint8 [H, W, 1 or 3] of a page or the first frame, upright, at most 1024 pixels a side; what was done, in words; and the size
    before.

    Raises:
        Bad: the file is damaged, too large or of a kind that is not read.
    """
    notes: list[str] = []
    how, facts = how or Preprocessing(), {}
    if dicom.is_dicom(data):
        return _of_dicom(data, how, page)
    if not page and (plain := decode_plain(data)) is not None:
        height, width, channels = plain.shape
        pixels = _of_bytes(plain, how, facts)
        return pixels, notes, Look(width, height, channels, 1, facts)
    with _opened(data) as image:
        _check_what_pillow_lets_pass(image, data, notes)
        frames = _frames(image, page or 0)
        if frames > 1 and page is None:
            notes.append(f"The first of {frames} frames is shown.")
        deep = image.mode not in ("I;16", "I;16B", "I;16L", "I", "F") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
        if deep or (image.format == "TIFF" and _bits(image) == 16 and image.mode.startswith("RGB")):
            notes.append("Values of 16 bits were scaled to 0..255.")
        turned_by_pillow = image.format == "TIFF" and _orientation(image) > 1  # asked of a PNG now, this would hide its damage
        try:
            image.load()
        except MemoryError:
            raise
        except Exception as error:
            raise Bad(f"its data are damaged ({_short(error)}); save or download it again") from None
        turned = _upright(image)
        if turned is not image or turned_by_pillow:
            notes.append("It was turned upright as its orientation tag says.")
        pixels, said = _pixels(turned, image, how, facts)
    notes += said
    return pixels, notes, Look(*turned.size, pixels.shape[2], frames, facts)


def _of_dicom(data: bytes, how: Preprocessing, page: int | None) -> tuple[np.ndarray, list[str], Look]:
    frame, facts = dicom.raster(data, page or 0), Facts()
    notes = [*frame.notes]
    if frame.frames > 1 and page is None:
        notes.append(f"The first of {frame.frames} frames is shown.")
    height, width = frame.values.shape[:2]
    if frame.values.dtype == np.uint8:
        image = Image.fromarray(frame.values)
        pixels, said = _pixels(image, image, how, facts)
    else:
        pixels, said = _of_values(frame.values, frame.bits, None, how, facts, frame.window)
    pixels = 255 - pixels if frame.inverted else pixels
    return pixels, notes + said, Look(width, height, pixels.shape[2], frame.frames, facts)


def _opened(data: bytes) -> Image.Image:
    if not data:
        raise Bad("it is empty; save or download it again")
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow refuses at twice this
    formats = _formats(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError:
        raise Bad(f"it declares more than {MAX_PIXELS // 1_000_000} million pixels, the limit; scale it down first") from None
    except UnidentifiedImageError:
        raise Bad(_what_it_may_be(data)) from None
    except MemoryError:
        raise
    except Exception as error:
        raise Bad(f"its header is damaged or of an unknown variant ({_short(error)}); save it again as PNG") from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Bad(f"it has {width:,}×{height:,} pixels and the limit is {MAX_PIXELS // 1_000_000} million; scale it down first")
    if width < 1 or height < 1:
        raise Bad("it declares no pixels; save or download it again")
    return image


def _formats(data: bytes) -> tuple[str, ...]:
    """The allow-list; with HEIF for the bytes that are one. Raises: Bad: nothing here decodes them."""
    brands = data[8:64] if data[4:8] == b"ftyp" else b""
    if brands and b"avif" not in brands and any(brand in brands for brand in _HEIF):
        heif = library("pillow_heif")
        if heif is None:
            raise Bad(f"it is a HEIF photograph, which needs the package pillow-heif; {how_to_get('pillow_heif')}, or save it as PNG")
        heif.options.DECODE_THREADS = 1
        heif.register_heif_opener()
        return (*FORMATS, "HEIF")
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # each would count against the memory, and the files are decoded side by side anyway
    return FORMATS


def _what_it_may_be(data: bytes) -> str:
    for place, mark, name in _OTHERS:
        if data[place : place + len(mark)] == mark:
            return f"it is {name}, which Priorama does not read; save it as PNG"
    for mark, name in _SIGNATURES:
        if data.startswith(mark):
            return f"it begins like a {name} file but its content is damaged or of an unknown variant; save it again as PNG"
    if data.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the image itself; fetch the files with “git lfs pull”"
    head = data[:512]
    if all(byte in b"\t\n\r\f" or 32 <= byte < 127 for byte in head):
        return "it holds text, not an image; choose an image file"
    return f"it is no image of a kind that Priorama reads ({', '.join(FORMATS[:8])} and others) or is damaged; save it as PNG"


def _check_what_pillow_lets_pass(image: Image.Image, data: bytes, notes: list[str]) -> None:
    """Damage that Pillow hides: it pads broken run-length bitmaps and skips junk in JPEG files without a word."""
    if image.format == "BMP" and image.info.get("compression") in (1, 2):
        raise Bad("it is a run-length compressed BMP, in which damage cannot be told from content; save it as PNG")
    if image.format in ("JPEG", "MPO") and _has_junk(data):
        notes.append("Warning: the file has junk between its segments, so parts of the picture may be wrong.")


def _has_junk(data: bytes) -> bool:
    """Whether a JPEG has bytes that belong to no segment before its pixels (ITU-T T.81, B.1.1)."""
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            return True
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker == 0xDA:  # start of scan
            return False
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD9:
            return True
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return True


def _frames(image: Image.Image, page: int = 0) -> int:
    """How many there are; the image then stands at the page asked for."""
    try:
        frames = int(getattr(image, "n_frames", 1))
    except MemoryError:
        raise
    except Exception:
        frames = 1  # the other frames are damaged; they are not shown anyway
    if frames > MAX_FRAMES:
        raise Bad(f"it has {frames:,} frames and the limit is {MAX_FRAMES:,}; save one of them as PNG")
    try:
        image.seek(page)
    except MemoryError:
        raise
    except Exception as error:
        which = f"page {page + 1}" if page else "first frame"
        raise Bad(f"its {which} is damaged ({_short(error)}); save or download it again") from None
    return frames


def _orientation(image: Image.Image) -> int:
    """1..8, 1 when there is none or its metadata are broken."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(image.getexif().get(0x0112, 1))
    except MemoryError:
        raise
    except Exception:
        return 1


def _upright(image: Image.Image) -> Image.Image:
    if not 2 <= _orientation(image) <= 8:
        return image
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ImageOps.exif_transpose(image) or image
    except MemoryError:
        raise
    except Exception:
        return image  # broken metadata do not stop a picture


def _bits(image: Image.Image) -> int | None:
    """Bits per channel as a TIFF states them."""
    tags: Any = getattr(image, "tag_v2", None)
    bits = None if tags is None else tags.get(258)
    return int(bits[0]) if isinstance(bits, tuple) and bits else int(bits) if isinstance(bits, int) else None


def _is_grey(image: Image.Image) -> bool:
    return image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;16")


def _pixels(image: Image.Image, original: Image.Image, how: Preprocessing, facts: Facts) -> tuple[np.ndarray, list[str]]:
    """Any mode to 8-bit grey or colour without transparency."""
    notes: list[str] = []
    clear = original.info.get("transparency")
    mode = image.mode
    if mode in ("I", "F") or mode.startswith("I;16"):
        return _scaled(image, original, clear, how, facts)
    if mode == "1":
        notes.append("Black and white was turned into 8-bit grey.")
        image = image.convert("LA" if clear is not None else "L")
    elif mode in ("P", "PA"):
        notes.append("Its palette was turned into colours.")
        image = image.convert("RGBA" if clear is not None or mode == "PA" else "RGB")
    elif mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        notes.append(f"{'CIE Lab' if mode == 'LAB' else mode} was turned into RGB.")
        image = image.convert("RGB")
    elif mode in ("La", "RGBa"):
        image = image.convert("LA" if mode == "La" else "RGBA")
    elif mode in ("L", "RGB") and clear is not None:
        image = image.convert("LA" if mode == "L" else "RGBA")
    elif mode not in ("L", "LA", "RGB", "RGBA"):
        notes.append(f"Pixels of kind {mode} were turned into RGB.")
        image = image.convert("RGB")
    image, reduced = _reduced(image)
    notes += reduced
    pixels = np.asarray(image)
    alpha = pixels[:, :, -1:] if image.mode in ("LA", "RGBA") else None
    pixels = pixels if alpha is None else pixels[:, :, :-1]
    pixels = _of_bytes(pixels, how, facts)
    if alpha is not None:
        pixels, said = _on_ground(pixels, alpha, original.format == "TIFF" and image.mode == "RGBA", how, facts)
        notes += said
    return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1)), notes


def _of_bytes(pixels: np.ndarray, how: Preprocessing, facts: Facts) -> np.ndarray:
    """8-bit values uint8 [...] by the scale of the set, where it has one for them."""
    facts["top"] = int(pixels.max())
    if how.asked in ("range", "robust"):
        facts["bytes"] = facts_of_values(pixels, 8, (0.0, 255.0))
    if how.of_bytes and how.scale is not None and (how.asked or facts["top"] <= how.scale[1]):
        pixels = Scaling(*how.scale, ()).to_bytes(pixels)
    return pixels


def _reduced(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """At most `LONGEST_SIDE` pixels a side, proportions kept."""
    width, height = image.size
    longest = max(width, height)
    if longest <= LONGEST_SIDE:
        return image, []
    size = (max(1, round(width * LONGEST_SIDE / longest)), max(1, round(height * LONGEST_SIDE / longest)))
    small = image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)  # Pillow weighs colours by their alpha here
    return small, [f"It has {width}×{height} pixels and was scaled down to {size[0]}×{size[1]}."]


def _on_ground(
    colors: np.ndarray, alpha: np.ndarray, may_be_a_band: bool, how: Preprocessing, facts: Facts
) -> tuple[np.ndarray, list[str]]:
    """Colours [H, W, C] mixed with a ground by their alpha. Raises: Bad: a fourth band that is no transparency, and nobody said what."""
    if (alpha == 255).all():
        return colors, []
    if may_be_a_band and how.bands != "alpha" and not looks_transparent(alpha):
        if how.bands == "rgb":
            return colors, ["The fourth band was left out, as asked for."]
        raise Bad(
            "it has four bands and the fourth does not look like transparency; say whether it is (bands alpha) or is left out (bands rgb)"
        )
    facts["clear"] = contrasts(colors, alpha)
    alpha = alpha.astype(np.uint32)
    mixed = (colors * alpha + GROUNDS[how.background] * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8), [f"Transparent parts are shown on {how.background}."]


def _scaled(image: Image.Image, original: Image.Image, clear: Any, how: Preprocessing, facts: Facts) -> tuple[np.ndarray, list[str]]:
    """Grey values of more than 8 bits."""
    values = np.asarray(image)
    if values.dtype.byteorder == ">":
        values = values.astype(values.dtype.newbyteorder("="))
    bits = _bits(original)
    if original.format == "PPM" and image.mode == "I":
        bits = 16  # Pillow has spread its values over 16 bits
    return _of_values(values, bits, clear, how, facts)


def _of_values(
    values: np.ndarray, bits: int | None, clear: Any, how: Preprocessing, facts: Facts, window: tuple[float, float] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Numbers [H, W] by the scale of the set, or else by their own `window` or range."""
    seen = Range.of(values)
    if seen.holes == values.size:
        raise Bad("every value is NaN or infinite; save it again")
    scaling = scaling_for(values.dtype, seen, bits if values.dtype.kind in "iu" else None)
    if window is not None:
        scaling = Scaling(*window, (f"Values from {window[0]:g} to {window[1]:g} (the window that the file states) became 0..255.",))
    elif values.dtype.kind in "iu":
        scaling = _brightened(values, scaling)
    facts["deep"] = facts_of_values(values, bits, (scaling.black, scaling.white)) | {"window": window}
    if how.scale is not None and not how.of_bytes:
        scaling = Scaling(*how.scale, ())
    notes = list(scaling.notes)
    pixels = scaling.to_bytes(values)
    if isinstance(clear, int):
        pixels = np.where(values == clear, np.uint8(GROUNDS[how.background]), pixels)
        notes.append(f"Transparent parts are shown on {how.background}.")
    small, reduced = _reduced(Image.fromarray(pixels))
    return np.asarray(small)[:, :, None], notes + reduced


def _brightened(values: np.ndarray, scaling: Scaling) -> Scaling:
    """Cameras and microscopes fill a small part of their 16 bits: such a picture is stretched, or it would be all black."""
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.5)))
    if low >= high or high - scaling.black > DARK * (scaling.white - scaling.black):
        return scaling
    return Scaling(
        low, high, (f"Values from {low:,.0f} to {high:,.0f} were stretched to 0..255, since the picture would be black otherwise.",)
    )


def _short(error: Exception) -> str:
    """A library's own words, made fit for the middle of a sentence."""
    words = " ".join(str(error).split()) or type(error).__name__
    words = "".join(c for c in words if c.isprintable())
    for mark in ("<_io.BytesIO", "0x"):
        words = words.split(mark)[0]
    return words[:90].strip(" .;:(") or type(error).__name__
