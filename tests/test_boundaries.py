"""The one-way rules of the house, read from the sources themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DRAWING = ("PySide6", "pyqtgraph", "superqt", "qtpy", "shiboken6")


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(imported name in full, whether it happens inside a function) for every import of a file, `from a import b` as a.b."""
    package = [*path.relative_to(ROOT).parent.parts]

    def walk(node: ast.AST, inside: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                module = ".".join([*base, *([child.module] if child.module else [])])
                yield from ((f"{module}.{alias.name}", inside) for alias in child.names)
            else:
                yield from walk(child, inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))

    return walk(ast.parse(path.read_text(encoding="utf-8")), False)


def is_within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def offences(folder: str, forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}" for path in sources(folder) for name, _ in imports(path) if is_within(name, *forbidden)
    ]


def modules_after(statement: str) -> set[str]:
    """What a fresh Python holds after a statement."""
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    return set(answer.stdout.split())


def test_that_there_are_sources_to_look_at():
    assert len(sources("engine")) > 10
    assert len(sources("app")) > 5


def test_that_the_reader_of_imports_sees_every_form(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "engine").mkdir()
    path = tmp_path / "engine" / "room.py"
    path.write_text("import a.b\nfrom c import d as e\nfrom . import f\nfrom .g import h\ndef i():\n    import j\n", encoding="utf-8")
    assert list(imports(path)) == [("a.b", False), ("c.d", False), ("engine.f", False), ("engine.g.h", False), ("j", True)]


def test_that_the_engine_never_draws():
    assert offences("engine", ("app", *DRAWING)) == []


def test_that_the_window_never_computes():
    assert offences("app", ("torch", "sklearn", "scipy", "umap", "safetensors")) == []


def test_that_the_window_knows_the_engine_by_its_messages_only():
    found = []
    for path in sources("app"):
        for name, inside in imports(path):
            if not is_within(name, "engine") or is_within(name, "engine.messages"):
                continue
            starts_the_engine = is_within(name, "engine.worker") and inside
            hands_on_a_verb = is_within(name, "engine.cli") and path == ROOT / "app" / "__main__.py"
            if not (starts_the_engine or hands_on_a_verb):
                found.append(f"{path.relative_to(ROOT)} imports {name}")
    assert found == []


def test_that_methods_know_neither_loop_nor_lane_nor_disk():
    assert offences("engine/methods", ("engine.train", "engine.worker", "engine.runs", "engine.explore", "engine.data", "engine.cli")) == []


def test_that_networks_know_no_method():
    assert offences("engine/nets", ("engine.method", "engine.methods", "engine.train", "engine.worker", "engine.runs", "engine.data")) == []


@pytest.mark.parametrize("module", ["engine.messages", "engine.config", "engine.runs", "engine.data"])
def test_that_what_the_window_may_wait_for_comes_without_torch(module):
    assert "torch" not in modules_after(f"import {module}")


def test_that_the_window_is_painted_before_anything_heavy_is_imported():
    loaded = modules_after("import app.window")
    assert "PySide6.QtWidgets" in loaded
    assert loaded.isdisjoint({"numpy", "pyqtgraph", "torch", "PIL", "engine.worker"})


def test_that_the_import_contracts_hold():
    """import-linter follows chains of imports, which the tests above do not."""
    script = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr
