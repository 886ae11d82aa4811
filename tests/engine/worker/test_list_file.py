"""Lists that outlive the window."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest

from engine.worker.list_file import ListFile, OwnedList


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


DAMAGED = [b"5", b"{}", b"[", b'"/a"', b"[\xff\xfe]", b"[" * 200_000]


@pytest.mark.parametrize("data", DAMAGED)
def test_that_a_file_that_holds_no_list_is_said_kept_and_replaced(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "data.json").write_bytes(data)
    file = ListFile(lambda: tmp_path, "data.json")
    with pytest.raises(ValueError, match=r"data\.json\.bak"):
        file.read()
    assert file.change(lambda rows: [*rows, "/new"], []) == ["/new"]
    assert file.read() == ["/new"]
    assert (tmp_path / "data.json.bak").read_bytes() == data


def test_that_an_earlier_copy_is_not_written_over(tmp_path: Path) -> None:
    for data in (b"5", b"6"):
        (tmp_path / "data.json").write_bytes(data)
        with pytest.raises(ValueError):
            ListFile(lambda: tmp_path, "data.json").read()
    assert sorted(path.read_bytes() for path in tmp_path.glob("*.bak")) == [b"5", b"6"]


def test_that_two_windows_lose_none_of_their_data_sets(tmp_path: Path) -> None:
    def window(number: int) -> None:
        file = ListFile(lambda: tmp_path, "data.json")
        rows = file.read()
        for one in range(5):
            rows = file.change(partial(lambda rows, new: [*rows, new], new=f"/{number}/{one}"), rows)

    threads = [threading.Thread(target=window, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ListFile(lambda: tmp_path, "data.json").read()) == sorted(f"/{a}/{b}" for a in range(3) for b in range(5))


def test_that_a_queue_belongs_to_one_window_and_is_taken_over_when_it_ends(tmp_path: Path) -> None:
    first, second = (OwnedList(lambda: tmp_path, "queue") for _ in range(2))
    assert first.read() == []
    first.write(["a"])
    assert second.read() == []
    second.write(["b"])
    first.write(["a", "c"])
    first.release()
    second.release()
    third, fourth = (OwnedList(lambda: tmp_path, "queue") for _ in range(2))
    assert third.read() == ["a", "c", "b"]
    assert fourth.read() == []
    assert [path.name for path in tmp_path.glob("*.json")] == ["queue.json"]
    third.write([])
    third.release()
    fourth.release()
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize("data", DAMAGED)
def test_that_a_damaged_queue_is_kept(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "queue.json").write_bytes(data)
    queue = OwnedList(lambda: tmp_path, "queue")
    assert queue.read() == []
    assert "queue.json.bak" in queue.fault
    queue.write(["new"])
    queue.release()
    assert (tmp_path / "queue.json.bak").read_bytes() == data


def test_that_a_window_that_began_without_a_folder_leaves_the_lists_of_others(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    late, other = (OwnedList(lambda: root, "queue") for _ in range(2))
    assert late.read() == []
    other.write(["theirs"])
    other.release()
    late.write(["mine"])
    late.write(["mine", "too"])
    late.release()
    assert OwnedList(lambda: root, "queue").read() == ["theirs", "mine", "too"]
