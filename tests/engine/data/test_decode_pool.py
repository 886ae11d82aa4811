"""Folders of common pictures, which go a short way, mixed with all that does not: the pixels that Pillow gives, and every report."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
from PIL import Image

from engine.data import close, decode_pool, open_data, reader_process
from engine.data.decode_pool import DecodedFiles, Files, decode_files
from engine.data.fingerprints import Fingerprints
from engine.data.preprocessing import Preprocessing
from engine.data.readers import folders
from engine.data.recipe import ImportRecipe
from tests.kit.import_cases import save

RNG = np.random.default_rng(12)


@pytest.fixture(autouse=True)
def _ended():
    yield
    close()


def images_by_name(folder: Path) -> dict[str, np.ndarray]:
    data = open_data(str(folder))
    return {split.names[place]: split.images[place] for split in data.splits.values() for place in range(len(split))}


def test_that_plain_files_among_others_become_what_pillow_makes_of_each(tmp_path: Path) -> None:
    expected: dict[str, np.ndarray] = {}
    for number in range(150):
        pixels = RNG.integers(0, 256, (16, 16, 3), np.uint8)
        kind = ("rgb", "rgb", "grey", "palette", "broken", "jpeg")[number % 6]
        name = f"{number:03}.{'jpg' if kind == 'jpeg' else 'png'}"
        image = Image.fromarray(pixels[:, :, 0] if kind == "grey" else pixels)
        image = image.quantize(16) if kind == "palette" else image
        image.save(tmp_path / name)
        if kind == "broken":
            (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-40])
        else:
            expected[name] = np.asarray(Image.open(tmp_path / name).convert("RGB")).transpose(2, 0, 1)
    found = images_by_name(tmp_path)
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    report = open_data(str(tmp_path)).report
    assert report.bad_total == 25 and {bad.path for bad in report.bad} == {f"{number:03}.png" for number in range(4, 150, 6)}
    assert report.sizes == {"16×16 colour": 100, "16×16 grey": 25}
    assert any(note == "25 files: Its palette was turned into colours." for note in report.notes)


@pytest.mark.parametrize("highest", [1, 2])
def test_that_the_highest_value_of_plain_files_is_known(tmp_path: Path, highest: int) -> None:
    """Values 0 and 1 become black and white; one picture with a 2 among a hundred, and they stay as they are."""
    for number in range(100):
        pixels = RNG.integers(0, 2, (8, 8), np.uint8)
        pixels[0, 0] = highest if number == 70 else pixels[0, 0]
        Image.fromarray(pixels).save(tmp_path / f"{number:03}.png")
    found = images_by_name(tmp_path)
    assert max(int(pixels.max()) for pixels in found.values()) == (255 if highest == 1 else 2)


def decoded(folder: Path, names: list[str], shape: tuple[int, int, int]) -> tuple[Fingerprints, list[DecodedFiles]]:
    """The files of a folder, of whatever kind, with what was said of each batch."""
    prints = Fingerprints.room(np.zeros((len(names), *shape), np.uint8))
    files = Files(f"{folder}/", names, [None] * len(names))
    batches = [batch for batch in decode_files(files, prints, Preprocessing()) if batch is not None]
    return prints.first(sum(batch.good for batch in batches)), batches


def test_that_the_rows_of_good_files_close_up_over_batches_without_any(tmp_path: Path) -> None:
    expected = []
    for number in range(330):
        name = f"{number:03}.png"
        if 70 <= number < 200 or number % 9 == 0:
            (tmp_path / name).write_bytes(b"no picture")
        else:
            expected.append(RNG.integers(0, 256, (9, 11, 3), np.uint8))
            save(tmp_path / name, expected[-1])
    prints, batches = decoded(tmp_path, sorted(file.name for file in tmp_path.iterdir()), (3, 9, 11))
    assert any(batch.good == 0 for batch in batches) and sum(len(batch.sizes) for batch in batches) == 330
    assert {size for batch in batches for size in batch.sizes if isinstance(size, str)} == {
        "it holds text, not an image; choose an image file"
    }
    assert np.array_equal(prints.images, np.stack(expected).transpose(0, 3, 1, 2))


def test_that_the_processes_compute_what_the_program_computes_of_their_pixels(tmp_path: Path) -> None:
    """Exact copies and near ones are found by the same numbers, whoever has computed them."""
    names = []
    for number in range(100):
        pixels = RNG.integers(0, 256, (20, 12, 3), np.uint8) // (1 + number % 5) if number % 7 else np.full((20, 12, 3), 9, np.uint8)
        names.append(save(tmp_path / f"{number:03}.{('png', 'bmp', 'webp')[number % 3]}", pixels.astype(np.uint8)).name)
    told, _ = decoded(tmp_path, names, (3, 20, 12))
    assert [bytes(digest) for digest in told.digests] == [
        hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in told.images
    ]
    grey = told.images.astype(np.float64).mean(1)
    wanted = np.stack([np.asarray(scipy.fft.dctn(image, norm="ortho"))[:8, :8].reshape(-1)[1:] for image in grey])
    assert np.allclose(told.low, wanted, rtol=2e-3, atol=2e-3 * np.abs(wanted).max())
    assert np.allclose(told.contrast, np.sqrt((wanted**2).sum(1) / 240), rtol=1e-4, atol=1e-4)


def test_that_an_answer_that_does_not_fit_is_a_line_for_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that a hostile file has taken over sends more pixels than there is room for: nothing is written, nobody waits."""
    for number in range(6):
        save(tmp_path / f"{number}.png", RNG.integers(0, 256, (8, 8, 3), np.uint8))
    asked: list[dict[str, Any]] = []
    exchange = reader_process.ReaderProcess.exchange

    def too_much(self: Any, request: dict[str, Any], data: bytes, seconds: float, room: Any = None) -> Any:
        asked.append(request)
        if room is None or "3.png" not in request["names"]:
            return exchange(self, request, data, seconds, room)
        return exchange(self, request | {"names": request["names"] * 2}, data, seconds, room)

    monkeypatch.setattr(reader_process.ReaderProcess, "exchange", too_much)
    names = [f"{number}.png" for number in range(6)]
    prints, (batch,) = decoded(tmp_path, names, (3, 8, 8))
    assert [place for place, size in enumerate(batch.sizes) if isinstance(size, str)] == [3] and len(asked) > 4
    expected = [np.asarray(Image.open(tmp_path / name)).transpose(2, 0, 1) for name in names if name != "3.png"]
    assert np.array_equal(prints.images, np.stack(expected))


def test_that_processes_made_ready_are_those_that_decode_and_an_import_that_is_given_up_leaves_none_starting(tmp_path: Path) -> None:
    close()
    with reader_process.made_ready(1) as started:
        while not started(0.1):
            pass
    (idle,) = reader_process._idle
    pid = idle.pid
    assert pid is not None
    save(tmp_path / "0.png", RNG.integers(0, 256, (8, 8, 3), np.uint8))
    decoded(tmp_path, ["0.png"], (3, 8, 8))
    assert [process.pid for process in reader_process._idle] == [pid]
    close()
    with pytest.raises(KeyboardInterrupt), reader_process.made_ready(2):
        raise KeyboardInterrupt
    with reader_process.made_ready(2):
        pass  # nobody waits: what is still starting is ended
    assert not [thread for thread in threading.enumerate() if thread.name == "starting a reading process"]


def test_that_pictures_of_one_width_and_many_heights_do_not_get_into_each_other(tmp_path: Path) -> None:
    """Common files of one size are decoded into one image; others among them are not."""
    expected = []
    for number in range(90):
        pixels = RNG.integers(0, 256, (16 if number % 3 else 16 + number % 4, 16, 3), np.uint8)
        save(tmp_path / f"{number:03}.png", pixels)
        expected.append(pixels)
    prints, (first, second) = decoded(tmp_path, [f"{number:03}.png" for number in range(90)], (3, 16, 16))
    assert first.good + second.good == 90
    for image, pixels in zip(prints.images, expected, strict=True):
        assert pixels.shape[0] != 16 or np.array_equal(image, pixels.transpose(2, 0, 1))


def test_that_a_folder_is_read_in_short_steps_while_its_processes_start_and_closing_ends_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2 * decode_pool.FEW):
        save(tmp_path / "set" / f"{number:04}.png", RNG.integers(0, 256, (8, 8, 3), np.uint8))
    go = threading.Event()
    monkeypatch.setattr(reader_process.ReaderProcess, "start", lambda self: go.wait(60) and None)
    monkeypatch.setattr(reader_process.ReaderProcess, "kill", lambda self: go.set())
    close()
    reading = folders.read(tmp_path / "set", ImportRecipe())
    for _ in range(300):  # processes that never start hold nothing up
        assert next(reading).unit == "file"  # type: ignore[union-attr]
    starting = [thread for thread in threading.enumerate() if thread.name == "starting a reading process"]
    assert starting and not go.is_set()
    reading.close()
    assert go.is_set() and not any(thread.is_alive() for thread in starting)
