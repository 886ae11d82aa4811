"""Lists that outlive the window."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from engine.storage.file_lock import Held, Lock
from engine.storage.list_file import ListFile, OwnedList
from tests.kit.killer import Killer
from tests.kit.runs import AtCall, using


def test_that_a_list_is_read_as_it_was_written_and_an_empty_one_leaves_no_file(tmp_path: Path) -> None:
    file = ListFile(lambda: tmp_path / "runs", "data.json")
    assert file.read() == []
    file.change(lambda rows: [*rows, "/a", {"b": 1}], [])
    assert ListFile(lambda: tmp_path / "runs", "data.json").read() == ["/a", {"b": 1}]
    file.change(lambda rows: [], [])
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [".data.lock"]


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


# -- taking over -------------------------------------------------------------------------------------------------------


def row(name: str, with_id: bool = True) -> dict[str, str]:
    return {"method": "vae", "data": name, **({"id": f"of {name}"} if with_id else {})}


def names_of(rows: list) -> list[str]:
    return [found["data"] for found in rows]


def lists(folder: Path, with_ids: bool = True) -> None:
    """Of three windows that have ended; the second one waited twice for the same."""
    for file, names in {"queue.json": "ab", "queue-2.json": "cc" if not with_ids else "cd", "queue-5.json": "e"}.items():
        (folder / file).write_text(json.dumps([row(name, with_ids) for name in names]))


@pytest.fixture
def killer() -> Iterator[Killer]:
    killer = Killer()
    yield killer
    killer.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL, which this system lacks")
@pytest.mark.parametrize("with_ids", [True, False])
def test_that_a_crash_at_any_call_doubles_and_loses_no_row(tmp_path: Path, killer: Killer, with_ids: bool) -> None:
    number, left = 0, 0
    while True:
        folder = tmp_path / str(number)
        folder.mkdir()
        lists(folder, with_ids)
        code = killer.ask("queue", run=str(folder), number=number)["code"]
        left += len(list(folder.glob("queue*.json"))) > 1
        after = OwnedList(lambda folder=folder: folder, "queue")
        assert names_of(after.read()) == list("abcde" if with_ids else "abcce") and after.fault == ""
        after.release()
        assert [path.name for path in folder.glob("queue*.json")] == ["queue.json"]
        if code == 0:
            break
        assert code == -9
        number += 1
    assert number > 12 and left > 8


def free(folder: Path) -> list[str]:
    """Lists that another window could have."""
    free = []
    for name in ("queue", *(f"queue-{number}" for number in range(2, 10))):
        with contextlib.suppress(Held):
            Lock(folder / f".{name}.lock").release()
            free.append(name)
    return free


def test_that_a_disk_that_refuses_at_any_call_keeps_no_lock_and_no_row_twice(tmp_path: Path) -> None:
    def refuse(name: str, arguments: tuple) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    number, seen = 0, set()
    while True:
        folder = tmp_path / str(number)
        folder.mkdir()
        lists(folder)
        mine = OwnedList(lambda folder=folder: folder, "queue")
        layer = AtCall(number, refuse, ("open_lock", "create", "write", "sync", "replace", "remove"))
        with using(layer):
            had = names_of(mine.read())
        assert bool(mine.fault) == layer.reached, (number, mine.fault)
        assert len(free(folder)) == 8, "of nine lists one is this window's"
        other = OwnedList(lambda folder=folder: folder, "queue")
        assert sorted([*had, *names_of(other.read())]) == list("abcde"), number
        seen.add("".join(had))
        mine.release()
        other.release()
        assert len(free(folder)) == 9
        if not layer.reached:
            break
        number += 1
    assert seen >= {"cde", "abe", "abcd", "abcde"}


def test_that_a_list_that_cannot_be_read_stays_and_keeps_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists(tmp_path)
    real = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name in refused:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    for refused, had in ({"queue.json"}, "cde"), ({"queue-2.json"}, "abe"):
        lists(tmp_path)
        mine = OwnedList(lambda: tmp_path, "queue")
        assert names_of(mine.read()) == list(had)
        (name,) = refused
        assert mine.fault.startswith(f"{name} was left as it is") and len(free(tmp_path)) == 8
        mine.release()
        for path in tmp_path.glob("queue*.json"):
            path.unlink()
