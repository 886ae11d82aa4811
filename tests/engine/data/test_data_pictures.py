"""One picture: every odd file, the decoding process, and the one way to a network's input. Mutated ones: test_fuzz_folders.py."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from engine.data import BadData, adapt, close, decoder, picture_from_array, read_image
from engine.data.limits import LONGEST_SIDE
from engine.data.reader_process import ReaderDead, ReaderLate, ReaderProcess
from tests.kit.fuzzing import cpu_seconds
from tests.kit.sentences import look_at

ROOT = Path(__file__).parents[3]
RNG = np.random.default_rng(11)
PHOTO = RNG.integers(0, 256, (40, 30, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **how) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def refused(source: bytes | Path) -> str:
    with pytest.raises(BadData) as caught:
        read_image(source)
    return look_at(str(caught.value))


# -- good pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "JPEG2000", "SGI", "ICO"])
def test_that_lossless_formats_give_the_pixels_that_were_saved(kind):
    how = {"WEBP": {"lossless": True}, "JPEG2000": {"irreversible": False}, "ICO": {"sizes": [(30, 40)]}}.get(kind, {})
    picture = read_image(encoded(Image.fromarray(PHOTO), kind, **how))
    assert np.array_equal(picture.pixels, PHOTO) and picture.notes == ()


def test_that_grey_stays_grey():
    assert np.array_equal(read_image(encoded(Image.fromarray(PHOTO[:, :, 0]))).pixels[:, :, 0], PHOTO[:, :, 0])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_that_every_orientation_is_turned_upright(orientation, kind):
    """The oracle applies the definition in EXIF 2.32, section 4.6.4, to an array."""
    stored = {
        1: PHOTO,
        2: PHOTO[:, ::-1],
        3: PHOTO[::-1, ::-1],
        4: PHOTO[::-1],
        5: PHOTO.transpose(1, 0, 2),
        6: PHOTO.transpose(1, 0, 2)[::-1],
        7: PHOTO.transpose(1, 0, 2)[::-1, ::-1],
        8: PHOTO.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    how = {"lossless": True} if kind == "WEBP" else {}
    picture = read_image(encoded(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **how))
    assert np.array_equal(picture.pixels, PHOTO)
    assert bool(picture.notes) == (orientation != 1)
    assert decoder.look(encoded(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **how)) == (3, 40, 30)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_that_transparent_parts_are_shown_on_white(mode):
    channels = 4 if mode == "RGBA" else 2
    pixels = RNG.integers(0, 256, (20, 20, channels), dtype=np.uint8)
    picture = read_image(encoded(Image.fromarray(pixels, mode)))
    alpha = pixels[:, :, -1:] / 255.0
    assert np.abs(picture.pixels - (pixels[:, :, :-1] * alpha + 255 * (1 - alpha))).max() <= 0.51
    assert any("on white" in note for note in picture.notes)


def test_that_16_bits_are_scaled_without_wrapping_round():
    values = np.linspace(0, 65535, 400).reshape(20, 20).astype(np.uint16)
    picture = read_image(encoded(Image.fromarray(values)))
    assert np.abs(picture.pixels[:, :, 0] - values / 257.0).max() <= 0.5
    assert any("16 bits" in note for note in picture.notes)


def test_that_a_dark_16_bit_picture_is_stretched_and_a_constant_one_is_not():
    dark = RNG.integers(300, 500, (32, 32)).astype(np.uint16)
    assert read_image(encoded(Image.fromarray(dark))).pixels.std() > 40
    assert (read_image(encoded(Image.fromarray(np.full((9, 9), 4660, np.uint16)))).pixels == round(4660 / 257)).all()


def test_that_float_pixels_without_a_value_become_black():
    values = np.full((16, 16), 0.5, np.float32)
    values[0, 0], values[0, 1] = np.nan, np.inf
    picture = read_image(encoded(Image.fromarray(values), "TIFF"))
    assert picture.pixels[0, :3, 0].tolist() == [0, 0, 128] and any("2 values" in note for note in picture.notes)


def test_that_only_the_first_frame_is_taken():
    frames = [Image.new("RGB", (9, 9), color) for color in ("red", "green", "blue")]
    picture = read_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert picture.pixels[4, 4].tolist() == [255, 0, 0] and any("first of 3 frames" in note for note in picture.notes)


def test_that_a_large_picture_is_scaled_down():
    picture = read_image(encoded(Image.new("L", (3000, 1500), 77)))
    assert picture.pixels.shape == (512, LONGEST_SIDE, 1) and (picture.pixels == 77).all() and picture.notes


# -- refusals ------------------------------------------------------------------------------------------------------------


def test_that_paths_without_a_picture_are_refused(tmp_path):
    assert "no such file" in refused(tmp_path / "none.png")
    assert "folder" in refused(tmp_path)
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    refused(tmp_path / "loop.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert "no ordinary file" in refused(tmp_path / "pipe.png")
    (tmp_path / "empty.png").touch()
    assert "“empty.png”" in refused(tmp_path / "empty.png")
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(65 << 20)
    assert "65 MB" in refused(tmp_path / "huge.png")


def test_that_an_unreadable_file_is_refused(tmp_path, monkeypatch):
    """Root may read anything, so the file is opened by one who refuses."""
    from engine.data import decoding

    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(PHOTO)))
    monkeypatch.setattr(decoding.os, "open", lambda path, flags: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(decoding.Bad, match="Permission denied"):
        decoding.read_bytes(str(tmp_path / "a.png"))


def test_that_too_many_pixels_are_refused_from_the_header():
    data = bytearray(encoded(Image.new("1", (8, 8))))
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = __import__("zlib").crc32(data[12:29]).to_bytes(4, "big")
    read_image(encoded(Image.fromarray(PHOTO)))  # the process that reads has started
    before = cpu_seconds()
    assert "million pixels" in refused(bytes(data))
    assert cpu_seconds() - before < 1


def test_that_junk_in_a_jpeg_is_said():
    data = encoded(Image.fromarray(PHOTO), "JPEG")
    assert read_image(data).notes == ()
    assert any("junk" in note for note in read_image(data[:20] + b"\x12\x34\x56" + data[20:]).notes)


# -- the shared collection -----------------------------------------------------------------------------------------------

REFUSED_BY_CHOICE = {"hopper.dds", "rgb24png.bmp", "rgba32abf.bmp", "drawing.wmf", "hopper.heif", "own_big_11000x9000.png"}


def test_that_every_odd_image_is_shown_as_it_should_or_refused_in_one_sentence(shared_data):
    rows = list(csv.DictReader((shared_data / "odd_images.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 100
    wrong = []
    for row in rows:
        advice, name = row["what_a_good_app_should_do"], row["file"]
        before = cpu_seconds()
        try:
            picture = read_image(shared_data / "odd_images" / name)
        except BadData as error:
            if name not in str(error):
                wrong.append(f"{name}: the sentence does not name it")
            look_at(str(error))
            shown, notes, pixels = False, "", np.zeros((1, 1, 1))
        else:
            shown, notes, pixels = True, " ".join(picture.notes), picture.pixels
            seen, _ = adapt(picture, (3, 32, 32))
            assert seen.shape == (3, 32, 32) and seen.dtype == np.uint8
        if (took := cpu_seconds() - before) > 3:
            wrong.append(f"{name}: took {took:.1f} s of processor time")
        must_show = row["category"] in ("valid", "unusual") and name not in REFUSED_BY_CHOICE
        if must_show and not shown:
            wrong.append(f"{name}: refused")
        if (advice.startswith(("skip", "refuse")) or name == "badrle.bmp") and shown:
            wrong.append(f"{name}: shown")
        says = {
            "say that it was scaled": "0..255",
            "transparency in one stated way": "on white",
            "first frame": "The first of",
            "the conversion should be visible": "turned into",
            "apply the EXIF orientation": "upright",
            "a warning": "Warning",
        }
        for part, word in says.items():
            opaque = name == "hopper_256x256.ico"  # has an alpha channel and no transparent pixel
            if shown and part in advice and word not in notes and not opaque:
                wrong.append(f"{name}: no word of “{word}” in “{notes}”")
        if shown and "not all white or all black" in advice and name != "uint16_1_4660.tif" and pixels.std() < 10:
            wrong.append(f"{name}: has no contrast")
    assert wrong == []


def test_that_the_turned_portraits_look_like_the_upright_one(shared_data):
    folder = shared_data / "odd_images"
    upright = adapt(read_image(folder / "hopper.png"), (1, 32, 32))[0].astype(float)
    for name in ("orientation_3.jpg", "orientation_6.jpg", "orientation_8.jpg", "orientation_6.webp", "Lab.tif", "16bit.pgm", "pfm"):
        file = folder / (f"hopper_{name}" if name[0] in "o1" else f"hopper.{name}")
        seen = adapt(read_image(file), (1, 32, 32))[0].astype(float)
        assert np.corrcoef(upright.ravel(), seen.ravel())[0, 1] > 0.95, name


# -- the decoding process ------------------------------------------------------------------------------------------------


def question(data: bytes) -> tuple[dict[str, object], bytes]:
    return {"op": "decode", "path": None, "shape": None}, data


@pytest.fixture
def process() -> Iterator[ReaderProcess]:
    made = ReaderProcess()
    made.exchange(*question(encoded(Image.fromarray(PHOTO))), 60)
    yield made
    made.end()


def test_that_a_dead_process_is_replaced(process):
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    data = encoded(Image.fromarray(PHOTO))
    with contextlib.suppress(ReaderDead):  # where the question was sent before its end was known
        process.exchange(*question(data), 60)
    assert process.exchange(*question(data), 60)[1] == PHOTO.tobytes()


def test_that_a_process_that_hangs_is_ended_within_its_time(process):
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    data = encoded(Image.fromarray(PHOTO))
    with pytest.raises(ReaderLate):
        process.exchange(*question(data), 0.3)
    assert process.exchange(*question(data), 60)[1] == PHOTO.tobytes()


def test_that_the_process_has_a_limit_of_memory(process):
    if not hasattr(psutil.Process, "rlimit"):
        pytest.skip("needs a system that tells limits")
    soft, _ = psutil.Process(process.pid).rlimit(psutil.RLIMIT_AS)
    assert soft == 1 << 30


def test_that_threads_take_turns():
    data = [encoded(Image.new("L", (9, 9), n)) for n in range(4)]
    wrong: list[int] = []

    def ask(n: int) -> None:
        for _ in range(10):
            if read_image(data[n]).pixels[0, 0, 0] != n:
                wrong.append(n)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_that_nothing_is_left_when_the_program_ends_or_closes():
    script = "from engine.data import reader_process, read_image; read_image({!r}); print(reader_process._idle[0].pid)"
    data = encoded(Image.new("L", (9, 9)))
    answer = subprocess.run([sys.executable, "-c", script.format(data)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0 and answer.stderr == ""
    assert not psutil.pid_exists(int(answer.stdout))
    read_image(data)
    close()
    close()
    assert not [child for child in psutil.Process().children() if "reader_child" in " ".join(child.cmdline())]


# -- adapting ------------------------------------------------------------------------------------------------------------


def test_that_a_fitting_picture_is_not_touched():
    seen, notes = adapt(picture_from_array(PHOTO), (3, 40, 30))
    assert np.array_equal(seen, PHOTO.transpose(2, 0, 1)) and notes == ()


def test_that_colour_becomes_grey_by_luma_and_grey_colour_by_repeating():
    seen, notes = adapt(picture_from_array(PHOTO), (1, 40, 30))
    assert np.abs(seen[0] - PHOTO @ np.array([0.299, 0.587, 0.114])).max() <= 0.51 and notes
    assert np.array_equal(seen[0], np.asarray(Image.fromarray(PHOTO).convert("L")))
    seen, notes = adapt(picture_from_array(PHOTO[:, :, 0]), (3, 40, 30))
    assert all(np.array_equal(channel, PHOTO[:, :, 0]) for channel in seen) and notes


def test_that_the_centre_is_kept_with_its_proportions():
    pixels = np.zeros((20, 60), np.uint8)
    pixels[:, 20:40] = 200  # the middle square
    seen, notes = adapt(picture_from_array(pixels), (1, 10, 10))
    assert (seen[0, :, 2:-2] == 200).all() and "33%" in notes[0]


def test_that_fine_stripes_become_an_even_grey():
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    seen, _ = adapt(picture_from_array(stripes), (1, 16, 16))
    assert np.abs(seen[0, :, 2:-2].astype(int) - 127).max() <= 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (7, 13), (3, 3, 3)])
def test_that_extreme_proportions_are_scaled(shape):
    seen, _ = adapt(picture_from_array(np.full(shape, 9, np.uint8)), (3, 28, 28))
    assert seen.shape == (3, 28, 28) and (seen == 9).all()


@pytest.mark.parametrize("array", [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)])
def test_that_other_arrays_are_no_pictures(array):
    with pytest.raises(BadData):
        picture_from_array(array)
