"""DICOM and HEIF: files written by pydicom and pillow-heif, what they become computed here from the numbers that were put in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from engine.data import BadData, DataSet, open_data, read_image
from engine.data.decoding import Bad, decode, look
from engine.data.recipe import recipe_of, with_recipe
from tests.kit.sentences import look_at

RNG = np.random.default_rng(3)


def opened(path: Path, **decisions: object) -> DataSet:
    return open_data(with_recipe(str(path), recipe_of(decisions)))


def said(data: DataSet, words: str) -> bool:
    return any(words in note for note in data.report.notes)


def write_dicom(path: Path, stored: np.ndarray | None, preamble: bool = True, **elements: Any) -> None:
    """Stored values uint16 or uint8 [H, W] or [frames, H, W], with elements by their names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128 if preamble else None)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = CTImageStorage, meta.MediaStorageSOPInstanceUID, "CT"
    if stored is not None:
        dataset.Rows, dataset.Columns = stored.shape[-2:]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
        dataset.BitsAllocated = 8 * stored.dtype.itemsize
        dataset.BitsStored = elements.pop("BitsStored", dataset.BitsAllocated)
        dataset.HighBit = dataset.BitsStored - 1
        if stored.ndim == 3:
            dataset.NumberOfFrames = len(stored)
        dataset.PixelData = stored.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    pydicom.dcmwrite(path, dataset, enforce_file_format=preamble)


def slices(number: int, level: int = 0) -> np.ndarray:
    return RNG.integers(800 + level, 1400 + level, (number, 16, 16)).astype(np.uint16)


def pixels_of(data: DataSet) -> dict[str, np.ndarray]:
    return {name: image[0] for split in data.splits.values() for name, image in zip(split.names, split.images, strict=True)}


@pytest.mark.parametrize("ending", [".dcm", "", ".1.2.840.7"])
def test_that_a_folder_of_slices_is_rescaled_by_one_rule(tmp_path: Path, ending: str) -> None:
    values = {f"{name}/IM{n:04}{ending}": slices(1, level)[0] for name, level in (("lung", 0), ("bone", 900)) for n in range(4)}
    for name, stored in values.items():
        write_dicom(tmp_path / name, stored, RescaleSlope="2", RescaleIntercept="-1024")
    write_dicom(tmp_path / "DICOMDIR", None)
    data = opened(tmp_path)
    units = {name: stored.astype(float) * 2 - 1024 for name, stored in values.items()}
    low, high = min(map(np.min, units.values())), max(map(np.max, units.values()))
    assert data.classes == ("bone", "lung") and data.report.bad_total == 0 and data.preprocessing.scale is not None
    black, white = data.preprocessing.scale
    assert black <= low and white >= high
    for name, image in pixels_of(data).items():
        assert np.abs(image - (units[name] - black) / (white - black) * 255).max() <= 0.51


def test_that_a_window_that_all_slices_state_is_the_scale_of_the_set(tmp_path: Path) -> None:
    values = {f"{n}.dcm": slices(1)[0] for n in range(6)}
    for name, stored in values.items():
        write_dicom(
            tmp_path / name, stored, RescaleSlope="1", RescaleIntercept="-1024", WindowCenter=["40", "500"], WindowWidth=["401", "9"]
        )
    data = opened(tmp_path)
    assert data.preprocessing.scale == (-160.5, 239.5) and said(data, "window")
    for name, image in pixels_of(data).items():
        assert np.abs(image - ((values[name] - 1024.0 + 160.5) / 400 * 255).clip(0, 255)).max() <= 0.51
    assert opened(tmp_path, scale="range").preprocessing.scale != (-160.5, 239.5)
    one = read_image(tmp_path / "0.dcm", how=data.preprocessing)
    assert np.array_equal(one.pixels[:, :, 0], pixels_of(data)["0.dcm"])


def test_that_different_windows_are_said_and_no_slice_has_its_own(tmp_path: Path) -> None:
    same = slices(1)[0]
    for n in range(4):
        write_dicom(tmp_path / f"{n}.dcm", same + np.uint16(n), WindowCenter=1000 + 50 * n, WindowWidth=300)
    data = opened(tmp_path)
    found = pixels_of(data)
    assert said(data, "4 different windows") and all((found[f"{n + 1}.dcm"] >= found[f"{n}.dcm"]).all() for n in range(3))


@pytest.mark.parametrize("stating", [1, 5])
@pytest.mark.parametrize("kinds", [1, 2])
def test_that_windows_that_only_some_files_state_are_named_and_not_used(tmp_path: Path, stating: int, kinds: int) -> None:
    if kinds > stating:
        return
    for n in range(8):
        window = {"WindowCenter": 1000 + 50 * (n % kinds), "WindowWidth": 300} if n < stating else {}
        write_dicom(tmp_path / f"{n}.dcm", slices(1)[0], **window)
    data = opened(tmp_path)
    (note,) = [note for note in data.report.notes if "window" in note]
    assert note.startswith(f"{stating} of 8 files state") and "not used" in note and ("2 different windows" in note) == (kinds == 2)
    if kinds == 1:
        assert "850 to 1149" in note  # PS3.3 C.11.2.1.2: c - 0.5 ± (w - 1) / 2
    assert data.preprocessing.scale is not None and data.preprocessing.scale[1] - data.preprocessing.scale[0] > 500
    assert not any("window" in note for note in opened(tmp_path, scale="0..4095").report.notes)


def test_that_monochrome1_is_turned_round(tmp_path: Path) -> None:
    stored = slices(1)[0]
    write_dicom(tmp_path / "a.dcm", stored, BitsStored=12)
    write_dicom(tmp_path / "b.dcm", stored, BitsStored=12, PhotometricInterpretation="MONOCHROME1")
    (plain, _, _), (turned, notes, _) = (decode((tmp_path / name).read_bytes()) for name in ("a.dcm", "b.dcm"))
    assert np.array_equal(turned, 255 - plain) and any("MONOCHROME1" in note for note in notes)


@pytest.mark.parametrize("preamble", [True, False])
def test_that_frames_are_pages_where_asked(tmp_path: Path, preamble: bool) -> None:
    volume = slices(5)
    write_dicom(tmp_path / "volume", volume, preamble)
    write_dicom(tmp_path / "other", slices(1)[0], preamble)
    assert sum(opened(tmp_path, pages="all").report.counts.values()) == 6
    assert look((tmp_path / "volume").read_bytes()).frames == 5
    frame, _, _ = decode((tmp_path / "volume").read_bytes(), page=3)
    alone, _, _ = decode((tmp_path / "volume").read_bytes(), page=0)
    assert np.corrcoef(frame.ravel(), volume[3].ravel())[0, 1] > 0.99 > np.corrcoef(alone.ravel(), volume[3].ravel())[0, 1]


def test_that_a_file_without_a_picture_is_listed_with_its_reason(tmp_path: Path) -> None:
    for n in range(4):
        write_dicom(tmp_path / f"{n}.dcm", slices(1)[0])
    write_dicom(tmp_path / "report.dcm", None)
    whole = (tmp_path / "0.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:-100])
    data = opened(tmp_path)
    assert {bad.path for bad in data.report.bad} == {"report.dcm", "cut.dcm"} and sum(data.report.counts.values()) == 4
    assert "without a picture" in next(bad.reason for bad in data.report.bad if bad.path == "report.dcm")


def test_that_a_photograph_of_a_telephone_is_read(tmp_path: Path) -> None:
    """Also in the confined process, where its decoder wants a thread."""
    pillow_heif.register_heif_opener()
    for n in range(4):
        Image.new("RGB", (64, 48), (200, 40 * n, 90)).save(tmp_path / f"{n}.heic", "HEIF")
        Image.new("RGB", (64, 48), (200, 40 * n + 20, 90)).save(tmp_path / f"{n}.avif", "AVIF")
    data = opened(tmp_path, size=16)
    assert data.report.bad_total == 0 and sum(data.report.counts.values()) == 8
    for name, image in ((name, image) for split in data.splits.values() for name, image in zip(split.names, split.images, strict=True)):
        expected = (200, 40 * int(name[0]) + (20 if name.endswith("avif") else 0), 90)
        assert np.abs(image.mean((1, 2)) - expected).max() < 6


@pytest.mark.parametrize(("module", "package"), [("pydicom", "pydicom"), ("pillow_heif", "pillow-heif")])
def test_that_a_missing_library_is_one_clause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, package: str) -> None:
    write_dicom(tmp_path / "pydicom", slices(1)[0])
    pillow_heif.register_heif_opener()
    Image.new("RGB", (32, 32)).save(tmp_path / "pillow_heif", "HEIF")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Bad) as caught:
        decode((tmp_path / module).read_bytes())
    assert f"pip install {package}" in look_at(f"“a” cannot be shown: {caught.value}.")


def test_that_hostile_numbers_are_refused(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", slices(1)[0], Rows=65_000, Columns=65_000)
    with pytest.raises(BadData) as caught:
        read_image(tmp_path / "a.dcm")
    assert "million" in look_at(str(caught.value))
