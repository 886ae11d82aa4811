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
LONGEST_FILE = 500  # lines
MOST_METHODS = 40  # of a class, properties among them
ABOVE_METHODS = ("engine.training", "engine.worker", "engine.storage", "engine.queries", "engine.data", "engine.cli")


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


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circles(paths: list[Path]) -> list[list[str]]:
    """Groups of files that import each other, wherever the import stands: strongly connected components (Tarjan 1972) of two and more."""
    known = {module_of(path): path for path in paths}

    def target(name: str) -> str | None:
        while name and name not in known:
            name = name.rpartition(".")[0]
        return name or None

    graph = {module: {target(name) for name, _ in imports(path)} - {module, None} for module, path in known.items()}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            place = stack.index(module)
            if len(stack) - place > 1:
                found.append(sorted(stack[place:]))
            del stack[place:]

    for module in sorted(graph):
        if module not in index:
            visit(module)
    return found


def classes(room: str) -> Iterator[tuple[Path, ast.ClassDef]]:
    for path in sources(room):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                yield path, node


def modules_after(statement: str) -> set[str]:
    """What a fresh Python holds after a statement."""
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
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


def test_that_a_circle_is_found_wherever_its_imports_stand(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a.py").write_text("from app.b import thing\n", encoding="utf-8")
    (tmp_path / "app" / "b.py").write_text("def late():\n    from app import c\n", encoding="utf-8")
    (tmp_path / "app" / "c.py").write_text("import app.a\n", encoding="utf-8")
    (tmp_path / "app" / "d.py").write_text("import app.a\n", encoding="utf-8")
    assert circles(sorted((tmp_path / "app").glob("*.py"))) == [["app.a", "app.b", "app.c"]]


def test_that_the_engine_never_draws():
    assert offences("engine", ("app", *DRAWING)) == []


def test_that_the_window_never_computes():
    assert offences("app", ("torch", "sklearn", "scipy", "umap", "safetensors")) == []


def test_that_the_window_knows_the_engine_by_its_messages_only():
    found = []
    for path in sources("app"):
        for name, inside in imports(path):
            if not is_within(name, "engine") or is_within(name, "engine.messages", "engine.common"):
                continue
            starts_the_engine = is_within(name, "engine.worker") and inside
            hands_on_a_verb = is_within(name, "engine.cli") and path == ROOT / "app" / "__main__.py"
            if not (starts_the_engine or hands_on_a_verb):
                found.append(f"{path.relative_to(ROOT)} imports {name}")
    assert found == []


def test_that_methods_know_neither_loop_nor_lane_nor_disk():
    assert offences("engine/methods", ABOVE_METHODS) == []
    assert offences("engine/bases", ABOVE_METHODS) == []


@pytest.mark.parametrize("room", ["nets", "losses", "transforms"])
def test_that_networks_losses_and_transforms_know_no_method(room: str):
    assert offences(f"engine/{room}", ("engine.method", "engine.methods", "engine.bases", *ABOVE_METHODS)) == []


def test_that_the_engine_imports_late_packages_one_at_a_time():
    """Its two lanes may need the same package first at the same moment; see `engine.common.importing`."""
    at_the_start = {"torch", "numpy", "PIL", "platformdirs"}  # of the first thread, before there is a second one that imports
    known = at_the_start | set(sys.stdlib_module_names) | {"engine"}
    found = []

    def walk(node: ast.AST, path: Path, late: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.Import, ast.ImportFrom)) and late:
                names = [alias.name for alias in child.names] if isinstance(child, ast.Import) else [child.module or "engine"]
                found.extend(f"{path.relative_to(ROOT)}:{child.lineno} {name}" for name in names if name.split(".")[0] not in known)
            elif not (isinstance(child, ast.With) and ast.unparse(child.items[0]) == "IMPORTING"):
                walk(child, path, late or isinstance(child, ast.FunctionDef))

    for path in sources("engine"):
        if path.relative_to(ROOT / "engine").parts not in {("umap", "child.py"), ("cli", "project.py")}:
            walk(ast.parse(path.read_text(encoding="utf-8")), path, False)
    assert found == []


def test_that_what_both_rooms_share_is_numpy_only():
    assert offences("engine/common", ("torch", "sklearn", "scipy", "engine.messages", "engine.data", *ABOVE_METHODS)) == []


def test_that_queries_and_storage_do_not_know_the_lanes():
    assert offences("engine/queries", ("engine.worker", "engine.cli")) == []
    assert offences("engine/storage", ("engine.worker", "engine.cli", "engine.training", "engine.queries", "engine.methods")) == []


def test_that_a_pane_imports_no_other_pane_and_nothing_outside_imports_from_inside_one():
    panes = {path.name for path in (ROOT / "app" / "panes").iterdir() if path.is_dir() and (path / "pane.py").exists()}
    found = []
    for path in sources("app"):
        parts = path.relative_to(ROOT / "app").parts
        mine = parts[1] if parts[0] == "panes" and len(parts) > 2 else None
        for name, _ in imports(path):
            room = name.split(".")
            if room[:2] == ["app", "panes"] and len(room) > 2 and room[2] in panes and room[2] != mine:
                found.append(f"{path.relative_to(ROOT)} imports {name}")
    assert found == []


def test_that_widgets_know_no_pane():
    assert [line for line in offences("app/widgets", ("app.panes", "app.tour"))] == []


@pytest.mark.parametrize("room", ["app", "engine"])
def test_that_no_files_import_each_other_in_a_circle(room: str):
    assert circles(sources(room)) == []


@pytest.mark.parametrize("room", ["app", "engine"])
def test_that_no_file_is_longer_than_500_lines(room: str):
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in sources(room)}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


@pytest.mark.parametrize("room", ["app", "engine"])
def test_that_no_class_has_more_than_40_methods(room: str):
    counts = {
        f"{path.relative_to(ROOT)} {node.name}": sum(isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) for child in node.body)
        for path, node in classes(room)
    }
    assert {name: count for name, count in counts.items() if count > MOST_METHODS} == {}


def test_that_no_two_classes_share_a_name():
    places: dict[str, list[str]] = {}
    for room in ("app", "engine"):
        for path, node in classes(room):
            if node.name != "Config":  # every method has one
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


@pytest.mark.parametrize("module", ["engine.messages", "engine.common", "engine.config", "engine.storage.run_reader", "engine.data"])
def test_that_what_the_window_may_wait_for_comes_without_torch(module):
    assert "torch" not in modules_after(f"import {module}")


def test_that_the_window_is_painted_before_anything_heavy_is_imported():
    loaded = modules_after("import app.shell.main_window")
    assert "PySide6.QtWidgets" in loaded
    assert loaded.isdisjoint({"numpy", "pyqtgraph", "torch", "PIL", "engine.worker.engine"})


def test_that_a_message_is_light_and_every_file_of_them_says_what_it_gives():
    loaded = modules_after("import engine.messages")
    assert loaded.isdisjoint({"torch", "numpy", "pydantic", "PIL", "PySide6"})
    for path in sources("engine/messages"):
        if path.name != "__init__.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            (told,) = (ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__")
            assert sorted(told) == sorted(node.name for node in tree.body if isinstance(node, ast.ClassDef)), path


def test_that_no_generator_rests_without_gradients():
    """A generator left between two of its steps would leave its whole thread without them."""
    found = []
    for path in sources("engine"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.With) and any(word in ast.unparse(node.items[0]) for word in ("no_grad", "inference_mode", "set_grad")):
                rests = any(isinstance(child, (ast.Yield, ast.YieldFrom)) for child in ast.walk(node))
                found += [f"{path.relative_to(ROOT)}:{node.lineno}"] if rests else []
    assert found == []


def test_that_the_import_contracts_hold():
    """import-linter follows chains of imports, which the tests above do not."""
    script = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stdout + answer.stderr
