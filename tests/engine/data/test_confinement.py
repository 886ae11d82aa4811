"""What the process that reads foreign files cannot do, and how it ends: by a file that changes under it, by a closed generator."""

from __future__ import annotations

import gzip
import io
import json
import os
import platform
import socket
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from engine.common.isolated_python import ROOT
from engine.data import BadData, open_data, reader_process
from engine.data.confined import read_file
from engine.data.recipe import ImportRecipe
from tests.kit.sentences import look_at

needs_seccomp = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="needs a system that filters system calls"
)
needs_limits = pytest.mark.skipif(sys.platform == "win32", reason="needs a system with limits of a process")

ATTEMPT = """
import ctypes, json, os, resource, socket, sys, threading
from engine.data.confinement import confine
folder = sys.argv[1]
confine()
def write(): open(folder + "/new", "w").write("x")
def over(): open(folder + "/there", "r+").write("x")
def append(): os.write(os.open(folder + "/there", os.O_WRONLY | os.O_APPEND), b"x")
def empty(): os.open(folder + "/there", os.O_RDONLY | os.O_TRUNC)
def date(): os.utime(folder + "/there", (1, 1))
def note(): os.setxattr(folder + "/there", "user.x", b"x")
def limits(): resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0))
def cut(): os.truncate(folder + "/there", 0)
def move(): os.rename(folder + "/there", folder + "/moved")
def remove(): os.unlink(folder + "/there")
def make(): os.mkdir(folder + "/made")
def link(): os.symlink("there", folder + "/link")
def rights(): os.chmod(folder + "/there", 0o777)
def tcp(): socket.socket(socket.AF_INET, socket.SOCK_STREAM)
def local(): socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
def pair(): socket.socketpair()
def fork(): os.fork() or os._exit(0)
def run(): os.execv("/bin/true", ["true"])
def spawn(): os.posix_spawn("/bin/true", ["true"], {})
def signal(): os.kill(os.getppid(), 0)
def thread_signal():
    tgkill = 234 if os.uname().machine == "x86_64" else 131
    refused(ctypes.CDLL(None, use_errno=True).syscall(tgkill, os.getppid(), os.getppid(), 0))
def refused(answer):
    if answer != 0: raise PermissionError(ctypes.get_errno())
def read(): assert open(folder + "/there").read() == "kept"
def thread():
    done = []
    worker = threading.Thread(target=done.append, args=(1,))
    worker.start()
    worker.join()
    assert done == [1]
told = {}
for work in (
    write, over, append, empty, date, note, limits, cut,
    move, remove, make, link, rights, tcp, local, pair, fork, spawn, signal, thread_signal, read, thread, run
):
    try:
        work()
        told[work.__name__] = ""
    except Exception as error:
        told[work.__name__] = type(error).__name__
print(json.dumps(told), flush=True)
"""


@needs_seccomp
def test_that_a_confined_process_may_read_and_compute_and_nothing_else(tmp_path):
    (tmp_path / "there").write_text("kept")
    answer = subprocess.run([sys.executable, "-c", ATTEMPT, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert {name for name, error in told.items() if not error} == {"read", "thread"}
    assert set(told.values()) == {"", "PermissionError"}
    assert [path.name for path in tmp_path.iterdir()] == ["there"] and (tmp_path / "there").read_text() == "kept"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a system that limits the address space")
def test_that_a_confined_process_that_wants_much_memory_gets_none():
    script = """
from engine.data.confinement import confine
confine()
try:
    bytearray(2 << 30)
except MemoryError:
    print("refused")
"""
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (answer.returncode, answer.stdout) == (0, "refused\n"), answer.stderr


@needs_seccomp
def test_that_the_process_that_reads_is_a_confined_one(tmp_path):
    """As the system tells of it, not as the program does."""
    np.save(tmp_path / "a.npy", np.zeros((20, 8, 8), np.uint8))
    open_data(str(tmp_path / "a.npy"))
    status = Path(f"/proc/{reader_process._idle[-1].pid}/status").read_text()
    assert "\nSeccomp:\t2\n" in status and "\nNoNewPrivs:\t1\n" in status


def large_array(path: Path) -> Path:
    """60 MB: more than the frames and the pipe between the two processes hold."""
    np.save(path, np.random.default_rng(0).integers(0, 256, (60, 1024, 1024), dtype=np.uint8))
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="needs a system where an open file can be cut")
@pytest.mark.parametrize("left", [0, 100, 5 << 20])
def test_that_a_file_cut_while_it_is_read_ends_in_a_sentence(tmp_path, left):
    path = large_array(tmp_path / "a.npy")
    steps = read_file("arrays", path, ImportRecipe())
    while not next(steps).done:  # the first rows have come
        pass
    os.truncate(path, left)
    with pytest.raises(BadData) as caught:
        for _ in steps:
            pass
    look_at(str(caught.value))


def test_that_closing_the_generator_midway_ends_the_process(tmp_path):
    reader_process.close()
    steps = read_file("arrays", large_array(tmp_path / "a.npy"), ImportRecipe())
    while not next(steps).done:
        pass
    (child,) = (child for child in psutil.Process().children() if "engine.data.reader_child" in child.cmdline())
    steps.close()
    assert not child.is_running()
    np.save(tmp_path / "b.npy", np.zeros((20, 8, 8), np.uint8))
    assert sum(open_data(str(tmp_path / "b.npy")).report.counts.values()) == 20


def overlapping(path: Path, ending: str) -> Path:
    """An archive whose table of contents lists one stretch of bytes under two names."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((20, 8, 8), np.uint8))
    name = "set/data.pkl" if ending == ".pt" else "x.npy"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, buffer.getvalue())
        listed = archive.infolist()[0]
        again = zipfile.ZipInfo(name.replace("x.", "y.").replace("data.", "more."))
        for field in ("header_offset", "compress_size", "file_size", "CRC"):
            setattr(again, field, getattr(listed, field))
        archive.filelist.append(again)
    return path


@pytest.mark.parametrize("ending", [".npz", ".pt"])
def test_that_entries_that_share_bytes_are_refused(tmp_path, refusal, ending):
    path = overlapping(tmp_path / f"a{ending}", ending)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == 2
    assert "share the same bytes" in refusal(path)


MEASURED = """
import json, resource, sys
from engine.data import BadData, open_data, reader_process
def spent(): return sum(resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime
                        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
sentences = []
for path in sys.argv[1:]:
    reader_process.close()
    before = spent()
    try:
        open_data(path)
    except BadData as error:
        sentences.append(str(error))
    reader_process.close()
    sentences.append(spent() - before)
print(json.dumps(sentences))
"""


@needs_limits
def test_that_a_gz_bomb_that_announces_all_it_holds_is_refused_within_two_seconds(tmp_path):
    """Its header is true, so that nothing but the ratio speaks against it. The start of the process is taken off."""
    for name, count in (("bomb", 500), ("good", 20)):
        (tmp_path / name).mkdir()
        with gzip.open(tmp_path / name / "train-images-idx3-ubyte.gz", "wb", compresslevel=1) as file:
            side = 1024 if name == "bomb" else 8
            file.write(bytes((0, 0, 8, 3)) + struct.pack(">3I", count, side, side))
            for n in range(count):
                file.write(bytes([n % 2]) * side * side)
    paths = [str(tmp_path / name) for name in ("good", "bomb")]
    answer = subprocess.run([sys.executable, "-c", MEASURED, *paths], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    start, sentence, seconds = json.loads(answer.stdout)
    assert "far more than a file of its size holds" in look_at(sentence)
    assert seconds - start < 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs a system with pipes and any bytes in names")
def test_that_what_is_no_file_and_names_that_are_no_text_each_get_a_line(tmp_path, monkeypatch):
    for n in range(5):
        Image.fromarray(np.full((9, 9), n * 40, np.uint8)).save(tmp_path / f"{n}.png")
    os.mkfifo(tmp_path / "pipe.png")
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.png")
        (tmp_path / "circle.png").symlink_to("circle.png")
        (tmp_path / "device.png").symlink_to("/dev/zero")
        for name in (b"line\nbreak.png", b"bell\x07.png", b"no \xff text.png", b"-rf.png", b"$(touch x).png", b"x" * 251 + b".png"):
            (tmp_path / os.fsdecode(name)).write_bytes(b"no picture")
        report = open_data(str(tmp_path)).report
    names = {"pipe.png", "socket.png", "circle.png", "device.png", "line\ufffdbreak.png", "bell\ufffd.png", "no \ufffd text.png", "-rf.png"}
    assert {bad.path for bad in report.bad} == names | {"$(touch x).png", "x" * 251 + ".png"}
    assert report.bad_total == 10 and sum(report.counts.values()) == 5
    for bad in report.bad:
        assert bad.path.isprintable() and bad.reason.isprintable() and bad.reason.endswith(".")
