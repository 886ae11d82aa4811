"""DICOM files as arrays: rescaled to their modality's unit, with the window that a viewer would open them by. Runs in the reading process.

Sources: DICOM PS3.3, C.7.6.3 (pixels), C.11.1 (rescale), C.11.2 (window).
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data.errors import Bad
from engine.data.extras import how_to_get, library
from engine.data.limits import MAX_FRAMES, MAX_PIXELS


@dataclass(frozen=True, eq=False)
class DicomFrame:
    """One frame."""

    values: np.ndarray  # [H, W] in the unit of the modality, or uint8 [H, W, 3]
    bits: int | None  # that the file states, where nothing was rescaled
    window: tuple[float, float] | None  # the values that become black and white in a viewer
    inverted: bool  # whether the least value is white (MONOCHROME1)
    frames: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class DicomHeader:
    """Without decoding."""

    width: int
    height: int
    channels: int
    frames: int


def is_dicom(data: bytes) -> bool:
    """Whether it is a DICOM file, with its preamble or (as older devices write them) without."""
    if data[128:132] == b"DICM":
        return True
    group, element = int.from_bytes(data[0:2], "little"), int.from_bytes(data[2:4], "little")
    return len(data) > 200 and group in (2, 8) and element <= 0x60 and (data[4:6].isalpha() or data[6:8] == b"\0\0")


def header(data: bytes) -> DicomHeader:
    """What a file says of its picture. Raises: Bad: it has none, or is damaged."""
    return _header(_dataset(data, False))


def raster(data: bytes, page: int) -> DicomFrame:
    """A frame of a file. Raises: Bad: it has none, or cannot be decoded."""
    dataset = _dataset(data, True)
    seen = _header(dataset)
    if "PixelData" not in dataset and "FloatPixelData" not in dataset and "DoubleFloatPixelData" not in dataset:
        raise Bad("it is a DICOM file without a picture (a report, a plan or an index of others); leave it out")
    pixels = library("pydicom.pixels")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = np.asarray(pixels.pixel_array(dataset, index=page))
            if "PALETTE" in str(dataset.get("PhotometricInterpretation", "")):
                values = np.asarray(pixels.apply_color_lut(values, dataset))
            elif seen.channels == 1:
                values = np.asarray(pixels.apply_modality_lut(values, dataset))
    except MemoryError:
        raise
    except RuntimeError:
        packing = getattr(getattr(dataset.file_meta, "TransferSyntaxUID", None), "name", "a rare way")
        raise Bad(f"its pixels are packed ({str(packing)[:60]}) and nothing here unpacks them; save it uncompressed") from None
    except Exception as error:
        words = " ".join(str(error).split())[:80].strip(" .;:") or type(error).__name__
        raise Bad(f"its pixels cannot be read ({words}); save or download it again") from None
    if values.ndim == 3 and values.shape[2] in (3, 4):
        return DicomFrame(_of_8_bits(values[:, :, :3]), None, None, False, seen.frames, ())
    if values.ndim != 2:
        raise Bad("its pixels have an unknown form; save it again as PNG")
    rescaled = any(name in dataset for name in ("RescaleSlope", "ModalityLUTSequence"))
    inverted = str(dataset.get("PhotometricInterpretation", "")).strip() == "MONOCHROME1"
    bits = None if rescaled else _number(dataset.get("BitsStored"))
    notes = ("Its values were turned round, since the least is white there (MONOCHROME1).",) if inverted else ()
    return DicomFrame(_whole(values), None if bits is None else int(bits), _window(dataset), inverted, seen.frames, notes)


def _dataset(data: bytes, pixels: bool) -> Any:
    pydicom = library("pydicom")
    if pydicom is None:
        raise Bad(f"it is a DICOM file, which needs the package pydicom; {how_to_get('pydicom')}")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=not pixels, force=True)
            dataset.file_meta = getattr(dataset, "file_meta", None) or pydicom.dataset.FileMetaDataset()
            if "TransferSyntaxUID" not in dataset.file_meta:
                implicit = dataset.original_encoding[0]
                dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian if implicit else pydicom.uid.ExplicitVRLittleEndian
            return dataset
    except MemoryError:
        raise
    except Exception:
        raise Bad("it begins like a DICOM file and is damaged; save or download it again") from None


def _header(dataset: Any) -> DicomHeader:
    width, height, samples, frames = (_number(_safely(dataset, name)) for name in ("Columns", "Rows", "SamplesPerPixel", "NumberOfFrames"))
    if not width or not height or width < 1 or height < 1:
        raise Bad("it is a DICOM file without a picture (a report, a plan or an index of others); leave it out")
    if width * height > MAX_PIXELS:
        raise Bad(f"it has {width:,.0f}×{height:,.0f} pixels and the limit is {MAX_PIXELS // 1_000_000} million; scale it down first")
    if (frames or 1) > MAX_FRAMES:
        raise Bad(f"it has {frames:,.0f} frames and the limit is {MAX_FRAMES:,}; save one of them as PNG")
    coloured = (samples or 1) >= 3 or "PALETTE" in str(_safely(dataset, "PhotometricInterpretation"))
    return DicomHeader(int(width), int(height), 3 if coloured else 1, max(1, int(frames or 1)))


def _safely(dataset: Any, name: str) -> Any:
    """An element whose bytes may be none of its kind."""
    try:
        return dataset.get(name)
    except MemoryError:
        raise
    except Exception:
        return None


def _number(value: Any) -> float | None:
    """A finite number of an element, the first where it has several."""
    try:
        if not isinstance(value, (str, bytes)) and hasattr(value, "__len__"):
            value = value[0]
        number = float(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return number if np.isfinite(number) else None


def _window(dataset: Any) -> tuple[float, float] | None:
    centre, width = _number(_safely(dataset, "WindowCenter")), _number(_safely(dataset, "WindowWidth"))
    if centre is None or width is None or width <= 1:
        return None
    if str(_safely(dataset, "VOILUTFunction")).strip() == "LINEAR_EXACT":
        return centre - width / 2, centre + width / 2
    return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2


def _whole(values: np.ndarray) -> np.ndarray:
    """Whole numbers as such, where rescaling has made them floating."""
    if values.dtype.kind == "f" and np.isfinite(values).all() and (np.abs(values) < 2**31).all() and (values == np.rint(values)).all():
        return values.astype(np.int32)
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def _of_8_bits(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    top = int(values.max(initial=0))
    shift = max(0, max(8, top.bit_length()) - 8) if values.dtype.itemsize > 2 else 8 * (values.dtype.itemsize - 1)
    return (values.astype(np.int64) >> shift).clip(0, 255).astype(np.uint8)
