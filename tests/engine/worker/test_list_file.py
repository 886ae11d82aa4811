"""Lists that outlive the window."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.worker.list_file import ListFile


def test_that_a_list_is_read_as_it_was_written_and_an_empty_one_leaves_no_file(tmp_path: Path) -> None:
    file = ListFile(lambda: tmp_path / "runs", "data.json")
    assert file.read() == []
    file.write(["/a", {"b": 1}])
    assert ListFile(lambda: tmp_path / "runs", "data.json").read() == ["/a", {"b": 1}]
    file.write([])
    assert list((tmp_path / "runs").iterdir()) == []


def test_that_what_could_not_be_read_is_not_written_over(tmp_path: Path) -> None:
    """As when the storage that knows the folder could not be imported."""
    (tmp_path / "data.json").write_text('["/mine"]')

    def fails() -> Path:
        raise ImportError("partially initialized module")

    folders = iter([fails, lambda: tmp_path])
    file = ListFile(lambda: next(folders)(), "data.json")
    with pytest.raises(ImportError):
        file.read()
    file.write(["/other"])
    assert (tmp_path / "data.json").read_text() == '["/mine"]'


@pytest.mark.parametrize("data", [b"5", b"{}", b"[", b'"/a"', b"[\xff\xfe]"])
def test_that_a_file_that_holds_no_list_is_said_and_replaced(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "data.json").write_bytes(data)
    file = ListFile(lambda: tmp_path, "data.json")
    with pytest.raises(ValueError):
        file.read()
    file.write(["/new"])
    assert file.read() == ["/new"]
