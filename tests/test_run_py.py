"""run.py: what it decides, without network; a true fresh set-up only among the slow tests."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_py", ROOT / "run.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A folder with a lock and something that looks like an installed environment."""
    root = tmp_path / "house"
    (root / ".venv" / ("Scripts" if os.name == "nt" else "bin")).mkdir(parents=True)
    (root / "requirements.lock").write_text("numpy==2.4.6\n", encoding="utf-8")
    return root


def pretend(run: ModuleType, monkeypatch: pytest.MonkeyPatch, *, pip_ends_with: Exception | None = None) -> list[str]:
    """Replace what would take minutes by notes of what was done."""
    done: list[str] = []

    def make_venv(venv: Path) -> None:
        shutil.rmtree(venv, ignore_errors=True)
        run.python_of(venv).parent.mkdir(parents=True)
        run.python_of(venv).touch()
        done.append("made")

    def install(venv: Path, lock: Path) -> None:
        done.append("installed " + lock.read_text(encoding="utf-8").strip())
        if pip_ends_with:
            raise pip_ends_with

    monkeypatch.setattr(run, "make_venv", make_venv)
    monkeypatch.setattr(run, "install", install)
    monkeypatch.setattr(run, "works", lambda venv: run.python_of(venv).exists())
    return done


def entries(name: str = "requirements.lock") -> list[tuple[Requirement, list[str]]]:
    """What a lock pins, each with the SHA-256 of the files that may come."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    found = []
    for words in lines:
        hashes = [word.removeprefix("--hash=sha256:") for word in words if word.startswith("--hash=")]
        found.append((Requirement(" ".join(word for word in words if not word.startswith("--hash="))), hashes))
    return found


def locked() -> dict[str, str]:
    return {canonicalize_name(pin.name): str(pin.specifier) for pin, _ in entries()}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-cuda.lock", "requirements-cpu.lock"])
def test_that_every_package_of_a_lock_has_one_version_and_hashes(name):
    pins = entries(name)
    assert len({canonicalize_name(pin.name) for pin, _ in pins}) == len(pins) >= (1 if "cpu" in name else 10)
    for pin, hashes in pins:
        assert re.fullmatch(r"==[^,*]+", str(pin.specifier)), pin
        assert hashes and all(re.fullmatch("[0-9a-f]{64}", one) for one in hashes), pin


def test_that_the_builds_of_pytorch_are_of_one_version():
    ((small, hashes),) = entries("requirements-cpu.lock")
    large = {pin.name: (pin, hashes) for pin, hashes in entries()}["torch"]
    assert str(small.specifier) == f"{large[0].specifier}+cpu"
    assert not set(hashes) & set(large[1]) and len(hashes) == 3 * 2  # Pythons, processors


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("settings", [True, False])
@pytest.mark.parametrize("there_is_one", [True, False])
def test_that_cuda_comes_only_where_it_is_of_use(run, house, monkeypatch, small: bool, settings: bool, there_is_one: bool):
    asked: list[tuple[str, list[str]]] = []

    def run_pip(python: str, lock: Path, index: list[str]) -> None:
        asked.append((lock.name, index))
        if lock.name == "requirements-cpu.lock" and not there_is_one:
            raise run.NoBuild("There is no build of torch.")

    monkeypatch.setattr(run, "run_pip", run_pip)
    monkeypatch.setattr(run, "wants_small_torch", lambda: small)
    monkeypatch.setattr(run, "has_pip_settings", lambda python: settings)
    monkeypatch.setattr(run, "has_cuda_torch", lambda python: not small)
    run.install(house / ".venv", house / "requirements.lock")
    own = [] if settings else ["--extra-index-url", run.CPU_WHEELS]
    whole = [("requirements.lock", [])]
    assert asked == ([("requirements-cpu.lock", own), *whole] if small else [*whole, ("requirements-cuda.lock", [])])


def test_that_pip_takes_no_file_that_the_lock_does_not_name(run, tmp_path):
    """The real pip, without a network: a wheel made here, with its own SHA-256 and with another one."""
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("tiny.py", "")
        file.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\nRequires-Dist: not-in-the-lock\n")
        file.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("tiny-1.0.dist-info/RECORD", "")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / ".venv")], check=True)
    python, lock = str(run.python_of(tmp_path / ".venv")), tmp_path / "requirements.lock"
    local = ["--no-index", "--find-links", str(tmp_path)]
    lock.write_text(f"large==1.0 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    with pytest.raises(run.NoBuild):
        run.run_pip(python, lock, local)
    for digest in ("0" * 64, hashlib.sha256(wheel.read_bytes()).hexdigest()):
        lock.write_text(f"tiny==1.0 --hash=sha256:{digest}\n", encoding="utf-8")
        if digest.startswith("0000"):
            with pytest.raises(run.CannotSetUp, match=r"tiny==1\.0 came with other contents .*SHA-256"):
                run.run_pip(python, lock, local)
        else:
            run.run_pip(python, lock, local)
    assert subprocess.run([python, "-c", "import tiny"]).returncode == 0


def test_that_the_second_start_installs_nothing(run, house, monkeypatch):
    done = pretend(run, monkeypatch)
    run.set_up(house)
    run.set_up(house)
    assert done == ["made", "installed numpy==2.4.6"]


def test_that_a_changed_lock_is_installed_into_the_same_environment(run, house, monkeypatch):
    done = pretend(run, monkeypatch)
    run.set_up(house)
    (house / "requirements.lock").write_text("numpy==2.4.7\n", encoding="utf-8")
    run.set_up(house)
    assert done == ["made", "installed numpy==2.4.6", "installed numpy==2.4.7"]


def test_that_an_interrupted_set_up_starts_afresh(run, house, monkeypatch):
    done = pretend(run, monkeypatch, pip_ends_with=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run.set_up(house)
    assert not run.is_ready(house / ".venv", house / "requirements.lock")
    done = pretend(run, monkeypatch)
    run.set_up(house)
    assert done == ["made", "installed numpy==2.4.6"]
    assert run.is_ready(house / ".venv", house / "requirements.lock")


def test_that_a_failure_that_pip_reports_keeps_what_was_installed(run, house, monkeypatch):
    pretend(run, monkeypatch, pip_ends_with=run.CannotSetUp("no network"))
    with pytest.raises(run.CannotSetUp):
        run.set_up(house)
    done = pretend(run, monkeypatch)
    run.set_up(house)
    assert done == ["installed numpy==2.4.6"]


def test_that_an_environment_that_lost_its_python_is_made_anew(run, house, monkeypatch):
    done = pretend(run, monkeypatch)
    run.set_up(house)
    run.python_of(house / ".venv").unlink()
    run.set_up(house)
    assert done.count("made") == 2


def test_that_two_starts_at_once_set_up_only_once(run, house, monkeypatch, capsys):
    done = pretend(run, monkeypatch)
    install = run.install
    second_waits = threading.Event()
    monkeypatch.setattr(run.time, "sleep", lambda _seconds: second_waits.set())

    def slow_install(venv: Path, lock: Path) -> None:
        assert second_waits.wait(10)
        install(venv, lock)

    monkeypatch.setattr(run, "install", slow_install)
    starts = [threading.Thread(target=run.set_up, args=(house,)) for _ in range(2)]
    for start in starts:
        start.start()
    for start in starts:
        start.join(20)
    assert done == ["made", "installed numpy==2.4.6"]
    assert "waiting for it" in capsys.readouterr().out


def test_that_an_old_python_is_told_what_to_do(run):
    with pytest.raises(run.CannotSetUp, match=r"needs Python 3\.11 or newer and this is 3\.10"):
        run.complain_about_python((3, 10))
    run.complain_about_python((3, 11))


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "WARNING: Retrying ... NewConnectionError ... Name or service not known\nERROR: No matching distribution found for x==1",
            "network",
        ),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("ERROR: Could not find a version\nERROR: No matching distribution found for torch==2.13.0", "no build of torch==2.13.0"),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n    numpy==2.4.6 from https://x (from -r l):\n",
            "numpy==2.4.6 came with other contents",
        ),
        ("something\nERROR: strange things\n", "pip says: strange things"),
        ("", "it said nothing"),
    ],
)
def test_that_pips_failures_become_one_sentence(run, said, sentence):
    answer = run.why_pip_failed(said)
    assert sentence in answer
    assert "\n" not in answer


def test_that_only_missing_libraries_are_asked_for(run):
    assert run.missing_packages({"libc.so.6": "libc6", "libnothing-of-this-name.so.9": "nothing"}) == ["nothing"]


def test_that_without_root_the_one_command_is_said(run, monkeypatch):
    monkeypatch.setattr(run.shutil, "which", lambda name: "/usr/bin/" + name)
    monkeypatch.setattr(run.os, "getuid", lambda: 1000, raising=False)
    with pytest.raises(run.CannotSetUp, match="sudo apt-get install -y --no-install-recommends libegl1 libgl1"):
        run.install_packages(["libegl1", "libgl1"], "system libraries")


def test_that_systems_without_apt_hear_the_names(run, monkeypatch):
    monkeypatch.setattr(run.shutil, "which", lambda _name: None)
    with pytest.raises(run.CannotSetUp, match="Install what your system calls libegl1"):
        run.install_packages(["libegl1"], "system libraries")


def test_that_the_users_own_packages_stay_outside(run):
    made = run.environment({"PYTHONPATH": "/somewhere", "PYTHONHOME": "/else", "HOME": "/home/me"})
    assert made == {"PYTHONNOUSERSITE": "1", "PYTHONPATH": str(ROOT), "HOME": "/home/me"}


def test_that_verbs_are_passed_on_word_for_word(run, monkeypatch):
    calls = []
    monkeypatch.setattr(run, "set_up", lambda _root: None)
    monkeypatch.setattr(run, "provide_qt_libraries", lambda: calls.append("libraries"))
    monkeypatch.setattr(run, "become", lambda command: calls.append(command[1:]) or 0)
    assert run.main(["train", "vae", "--data", "../my data", "--set", "beta=2"]) == 0
    assert run.main([]) == 0
    qt = ["libraries"] if sys.platform.startswith("linux") else []
    assert calls == [["-P", "-m", "app", "train", "vae", "--data", "../my data", "--set", "beta=2"], *qt, ["-P", "-m", "app"]]


def test_that_test_runs_pytest_and_returns_its_exit_code(run, monkeypatch):
    calls = []
    monkeypatch.setattr(run, "set_up", lambda _root: None)
    monkeypatch.setattr(run, "provide_qt_libraries", lambda: None)
    monkeypatch.setattr(run.subprocess, "call", lambda command, **how: calls.append((command[1:], how["cwd"])) or 5)
    assert run.main(["test", "-k", "nothing"]) == 5
    assert calls == [(["-m", "pytest", *run.on_every_core(["-k", "nothing"])], ROOT)]


def test_that_a_reason_goes_to_stderr_and_ends_with_1(run, monkeypatch, capsys):
    def refuse(_root: Path) -> None:
        raise run.CannotSetUp("The disk is full.")

    monkeypatch.setattr(run, "set_up", refuse)
    assert run.main([]) == 1
    assert capsys.readouterr().err == "The disk is full.\n"


def test_that_run_py_needs_nothing_but_python():
    imported = set(re.findall(r"^\s*(?:import|from) (\w+)", (ROOT / "run.py").read_text(encoding="utf-8"), re.MULTILINE))
    assert imported <= sys.stdlib_module_names


def test_that_the_lock_is_complete():
    """None is missing; and where run.py made this environment, each has its version, so that the tests speak about what people get."""
    pins = locked()
    if Path(sys.prefix) == ROOT / ".venv":
        for name, pin in pins.items():
            assert "==" + metadata.version(name).split("+")[0] == pin, name
    for name in pins:
        for line in metadata.requires(name) or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert canonicalize_name(needed.name) in pins, f"{name} needs {needed.name}"


def test_that_the_lock_satisfies_the_ranges_of_pyproject():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = locked()
    for line in project["dependencies"]:
        needed = Requirement(line)
        assert needed.specifier.contains(pins[canonicalize_name(needed.name)].removeprefix("==")), line


def test_that_the_window_library_keeps_clear_of_the_fault_that_loses_none():
    version = tuple(int(part) for part in locked()["pyside6-essentials"].removeprefix("==").split("."))
    assert version < (6, 12)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_that_a_bare_python_sets_everything_up(tmp_path):
    """The real thing: a fresh folder, a fresh environment, the first verb, and a second start that is immediate."""
    house = tmp_path / "fresh"
    shutil.copytree(
        ROOT, house, ignore=shutil.ignore_patterns(".venv", ".git", "__pycache__", "tests", ".*_cache", "build", "tour", "runs")
    )
    bare = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    python = getattr(sys, "_base_executable", sys.executable)
    command = [python, "run.py", "list", "--json"]
    first = subprocess.run(command, cwd=house, env=bare, capture_output=True, text=True, timeout=800)
    if "no connection to the package index" in first.stderr:
        pytest.skip("needs a package index, which cannot be reached")
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.rstrip().splitlines()[-1].startswith("{")
    second = subprocess.run(command, cwd=house, env=bare, capture_output=True, text=True, timeout=100)
    assert second.returncode == 0, second.stderr
    assert "Collecting" not in second.stdout


def test_that_only_the_whole_suite_is_shared_by_the_cores(run):
    assert run.on_every_core([]) == ["-n", "auto", "--dist", "loadfile"]
    assert run.on_every_core(["--slow", "-q"])[:2] == ["-n", "auto"]
    for words in (["tests/test_run_py.py"], ["tests/test_run_py.py::test_x", "-q"], ["-n0"], ["-n", "3"], ["--pdb"]):
        assert run.on_every_core(words) == words


def test_that_a_link_in_place_of_the_lock_is_not_followed(run, tmp_path):
    (tmp_path / "precious").write_text("x", encoding="utf-8")
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / ".venv.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(run.CannotSetUp, match="Could not write"), run.one_at_a_time(tmp_path / "house"):
        pass
    assert (tmp_path / "precious").read_text(encoding="utf-8") == "x"


def test_that_nothing_is_put_into_the_shared_folder_for_temporary_files(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "shared"))
    (tmp_path / "shared").mkdir()
    with run.one_at_a_time(tmp_path):
        assert list((tmp_path / "shared").iterdir()) == []


def test_that_a_user_whom_the_system_does_not_know_needs_no_home(run, monkeypatch):
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(run.Path, "home", staticmethod(unknown))
    assert run.has_fonts() in (True, False)
