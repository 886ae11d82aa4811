"""Two commands: `python3 run.py` sets Priorama up and starts it, `python3 run.py test` sets it up and tests it.

Needs Python 3.11 or newer and nothing else. Everything goes into `.venv` beside this file, in exactly the versions of
requirements.lock, whose hashes pip checks; later starts only compare one hash. `python3 run.py VERB …` passes a verb on.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 11)
HEADLESS_VERBS = ("list", "train", "eval", "probe", "sample", "embed", "patches", "score", "ood")  # work without Qt
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"

# What Qt loads from the system, and the Debian package that brings it.
QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
}
# What its X11 half loads as well; nothing else needs these.
X11_LIBRARIES = {
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
OFFLINE_SIGNS = (
    "NewConnectionError",
    "Temporary failure in name resolution",
    "Name or service not known",
    "nodename nor servname",
    "getaddrinfo failed",
    "Network is unreachable",
    "ConnectTimeoutError",
    "Read timed out",
    "ProxyError",
)


class CannotSetUp(Exception):
    """One sentence with the cause and the next step."""


class NoBuild(CannotSetUp):
    """There is no file of a package for this system."""


def main(arguments: list[str]) -> int:
    try:
        complain_about_python(sys.version_info[:2])
        verb = arguments[0] if arguments and not arguments[0].startswith("-") else ""
        set_up(ROOT)
        if os.name == "posix" and sys.platform != "darwin" and verb not in HEADLESS_VERBS:
            provide_qt_libraries()
    except CannotSetUp as reason:
        print(reason, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The next start goes on with the set-up.", file=sys.stderr)
        return 130
    python = str(python_of(ROOT / ".venv"))
    if verb == "test":
        return subprocess.call([python, "-m", "pytest", *on_every_core(arguments[1:])], cwd=ROOT, env=environment(os.environ))
    return become([python, "-P", "-m", "app", *arguments])


def complain_about_python(version: tuple[int, int]) -> None:
    """Raises: CannotSetUp where Python is too old."""
    if version < OLDEST_PYTHON:
        raise CannotSetUp(
            "Priorama needs Python 3.11 or newer and this is {}.{}. Install a newer one (python.org) and start with it: "
            "python3.11 run.py".format(*version)
        )


def on_every_core(arguments: list[str]) -> list[str]:
    """What pytest is called with: the whole suite shares the cores, file by file; named tests, or a `-n` of one's own, stay as they are."""
    named = any(not word.startswith("-") and (ROOT / word.partition("::")[0]).exists() for word in arguments)
    chosen = any(word.startswith(("-n", "--numprocesses", "--pdb", "--dist")) for word in arguments)
    return arguments if named or chosen else ["-n", "auto", "--dist", "loadfile", *arguments]


def become(command: list[str]) -> int:
    """Go on as another program; on Windows, where that is not possible, run it and hand its exit code on."""
    if os.name == "nt":
        return subprocess.call(command, env=environment(os.environ))
    sys.stdout.flush()
    os.execve(command[0], command, environment(os.environ))


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of everything we start: our sources, nothing of the user's own packages."""
    made = {name: value for name, value in inherited.items() if name not in ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__")}
    made["PYTHONNOUSERSITE"] = "1"
    made["PYTHONPATH"] = str(ROOT)
    return made


# ---------------------------------------------------------------------------------------------------------------------
# The virtual environment
# ---------------------------------------------------------------------------------------------------------------------


def set_up(root: Path) -> None:
    """Make sure `.venv` holds exactly what requirements.lock says. Raises: CannotSetUp."""
    venv, lock = root / ".venv", root / "requirements.lock"
    if is_ready(venv, lock):
        return
    with one_at_a_time(root):
        if is_ready(venv, lock):  # another start has done it meanwhile
            return
        unfinished = venv / "priorama-unfinished"
        if not works(venv) or unfinished.exists():
            make_venv(venv)
        print("Setting up Priorama in .venv (once; some hundred megabytes) …", flush=True)
        stamp_of(venv).unlink(missing_ok=True)
        unfinished.touch()
        try:
            install(venv, lock)
        except CannotSetUp:
            unfinished.unlink(missing_ok=True)  # pip has ended by itself and left nothing half done
            raise
        unfinished.unlink()
        stamp_of(venv).write_text(fingerprint(lock), encoding="utf-8")
        print("Ready.", flush=True)


def python_of(venv: Path) -> Path:
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def stamp_of(venv: Path) -> Path:
    return venv / "priorama-installed"


def fingerprint(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def is_ready(venv: Path, lock: Path) -> bool:
    try:
        return stamp_of(venv).read_text(encoding="utf-8") == fingerprint(lock) and python_of(venv).exists()
    except OSError:
        return False


def works(venv: Path) -> bool:
    """Whether there is a Python with pip in it, new enough."""
    question = f"import sys, pip; sys.exit(sys.version_info[:2] < {OLDEST_PYTHON})"
    try:
        return subprocess.run([str(python_of(venv)), "-c", question], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def make_venv(venv: Path) -> None:
    """A fresh, empty environment in place of whatever was there."""
    command = [sys.executable, "-m", "venv", "--clear", str(venv)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode and "ensurepip" in made.stdout + made.stderr:  # Debian ships Python without it
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        install_packages([package], "Python's own venv module")
        made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        raise CannotSetUp(f"Could not make {venv}: {last_line(made.stdout + made.stderr)}. Delete the folder and start again.")


def install(venv: Path, lock: Path) -> None:
    """Everything the lock names, with the PyTorch that suits this machine and what that needs. Raises: CannotSetUp."""
    python = str(python_of(venv))
    if wants_small_torch():
        print("No NVIDIA GPU here: taking PyTorch's small build without CUDA.", flush=True)
        with contextlib.suppress(NoBuild):  # then the lock brings the large one, which does without a card as well
            run_pip(python, lock.with_name("requirements-cpu.lock"), [] if has_pip_settings(python) else ["--extra-index-url", CPU_WHEELS])
    run_pip(python, lock, [])
    if has_cuda_torch(python):
        run_pip(python, lock.with_name("requirements-cuda.lock"), [])


def run_pip(python: str, lock: Path, index: list[str]) -> None:
    """Install a lock, saying what is fetched; no file comes in whose SHA-256 it does not name, and no package. Raises: CannotSetUp."""
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--retries", "2"]
    command += ["--require-hashes", "--no-deps", "-r", str(lock), *index]
    said = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment(os.environ)
    ) as pip:
        for line in pip.stdout or ():
            said.append(line)
            if line.startswith("Collecting"):
                print("  " + line.split()[1], flush=True)
            elif line.startswith("Installing"):
                print("  unpacking …", flush=True)
    if pip.returncode:
        text = "".join(said)
        raise (NoBuild if "No matching distribution found" in text else CannotSetUp)(why_pip_failed(text))


def has_cuda_torch(python: str) -> bool:
    """Whether the PyTorch that came is the build for Linux that looks for NVIDIA's libraries: PyPI's does, the small one does not."""
    question = "import importlib.metadata as m; print(m.version('torch'))"
    version = subprocess.run([python, "-c", question], capture_output=True, text=True).stdout.strip()
    return sys.platform.startswith("linux") and bool(version) and "+cpu" not in version


def wants_small_torch() -> bool:
    """On Linux PyPI's torch brings several GB of CUDA; without an NVIDIA card that is for nothing."""
    return sys.platform.startswith("linux") and not os.path.exists("/proc/driver/nvidia") and not shutil.which("nvidia-smi")


def has_pip_settings(python: str) -> bool:
    """Whether somebody has decided where packages come from: then they come from nowhere else."""
    settings = subprocess.run([python, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    return bool(re.search(r"index-url|find-links|no-index", settings))


def why_pip_failed(said: str) -> str:
    """pip's many lines as one sentence with the next step."""
    if any(sign in said for sign in OFFLINE_SIGNS):
        return "The packages could not be fetched: no connection to the package index. Connect to the network and start again."
    if "No space left on device" in said:
        return "The disk is full; Priorama needs about 3 GB for its packages. Free some space and start again."
    if "DO NOT MATCH THE HASHES" in said:
        wrong = re.search(r"^\s*(\S+==\S+) from", said, re.MULTILINE)
        return (
            f"{wrong.group(1) if wrong else 'A package'} came with other contents than those that were tested (its SHA-256 differs), so "
            "nothing was installed. Start again; if that does not help, ask whoever runs your package index or proxy why it changes files."
        )
    missing = re.search(r"No matching distribution found for (\S+)", said)
    if missing:
        return (
            f"There is no build of {missing.group(1)} for this system and Python {sys.version_info[0]}.{sys.version_info[1]}. "
            "Start with Python 3.11, 3.12 or 3.13 on Linux, Windows or an Apple-silicon Mac."
        )
    errors = [line.split("ERROR:", 1)[1].strip() for line in said.splitlines() if "ERROR:" in line]
    return f"Installing failed; pip says: {errors[-1] if errors else last_line(said)}"


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


@contextlib.contextmanager
def one_at_a_time(root: Path) -> Iterator[None]:
    """Two starts at once: the second waits for the first one's set-up. The lock falls with its process."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:  # beside .venv, and not in the folder for temporary files, where anybody could put a file or a link of that name first
        handle = os.open(root / ".venv.lock", flags, 0o600)
    except OSError as error:
        raise CannotSetUp(
            f"Could not write in {root} ({error.strerror}). Put Priorama into a folder of your own and start again."
        ) from None
    with open(handle, "r+b") as file:
        waiting = False
        while not try_to_lock(file):
            if not waiting:
                print("Another start is setting Priorama up; waiting for it …", flush=True)
                waiting = True
            time.sleep(0.2)
        yield


def try_to_lock(file: IO[bytes]) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# ---------------------------------------------------------------------------------------------------------------------
# Qt's system libraries (Linux)
# ---------------------------------------------------------------------------------------------------------------------


def provide_qt_libraries() -> None:
    """Install what Qt needs of the system where it is missing and we may. Raises: CannotSetUp."""
    with_screen = bool(os.environ.get("DISPLAY"))
    packages = missing_packages({**QT_LIBRARIES, **X11_LIBRARIES} if with_screen else QT_LIBRARIES)
    if not has_fonts():
        packages.append("fonts-dejavu-core")
    if packages:
        install_packages(packages, "system libraries that the window needs")


def missing_packages(libraries: Mapping[str, str]) -> list[str]:
    """The Debian packages of the libraries that cannot be loaded."""
    return sorted({package for library, package in libraries.items() if not can_load(library)})


def can_load(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def has_fonts() -> bool:
    """Without a single font Qt draws empty boxes for letters."""
    homes = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts")]
    with contextlib.suppress(RuntimeError):  # a user that the system does not know, without HOME
        homes += [Path.home() / ".local/share/fonts", Path.home() / ".fonts"]
    return any(name.lower().endswith((".ttf", ".otf", ".ttc", ".pfb")) for home in homes for _, _, names in os.walk(home) for name in names)


def install_packages(packages: list[str], what: str) -> None:
    """Through apt-get as root on Debian and Ubuntu; elsewhere say the one command. Raises: CannotSetUp."""
    apt = shutil.which("apt-get")
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if not apt:
        raise CannotSetUp(f"Missing: {what}. Install what your system calls {', '.join(packages)}, then start again.")
    if os.getuid() != 0:
        raise CannotSetUp(f"Missing: {what}. Install them with this command, then start again: sudo {shlex.join(command)}")
    print(f"Installing {what}: {' '.join(packages)} …", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([apt, "update"], capture_output=True, env=quiet)
    done = subprocess.run([apt, *command[1:]], capture_output=True, text=True, env=quiet)
    if done.returncode:
        raise CannotSetUp(f"apt-get could not install {what} ({last_line(done.stderr)}). Run this, then start again: {shlex.join(command)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
