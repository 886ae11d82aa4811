"""Decisions about single images: left out, given another class, tagged. Kept as a small JSON file beside the data, which stay as they are.

The file is a log that only grows: an undo is written at its end like any decision. So “the first 12 steps” names one state for ever, and a
run that was trained on it finds it again: a recipe carries `curation` as STEPS-CHECK, with PATH# before it where the file lies elsewhere.
An image is known by its name in the set and by its pixels, so that one that was renamed or changed since is noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.common.counting import number_of
from engine.common.user_folders import user_folder
from engine.data.errors import BadData
from engine.data.limits import MAX_CURATED, MAX_CURATION_BYTES, MAX_CURATION_STEPS
from engine.storage.atomic_io import write_file

FORMAT, VERSION = "priorama curation", 1
SUFFIX = ".curation.json"
ABOUT_IMAGES = ("exclude", "include", "relabel", "tag", "untag")
WITH_VALUE = ("relabel", "tag", "untag")
_NAME, _VALUE = 1_000, 200  # characters
_HASH = re.compile(r"[0-9a-f]{16}|")
_VIEW = re.compile(r"[0-9a-f]{8}|")
_CARRIED = re.compile(r"(?:(?P<path>.+)#)?(?P<steps>\d{1,7})-(?P<check>[0-9a-f]{8})", re.DOTALL)


@dataclass(frozen=True)
class Decision:
    """One step of the log."""

    act: str  # of ABOUT_IMAGES, "undo" or "redo"
    images: tuple[tuple[str, str], ...] = ()  # (name, hash of its pixels; "" where it is not known)
    value: str = ""  # the class or the tag
    view: str = ""  # the size and scale that the pixels were hashed in


@dataclass(frozen=True)
class Known:
    """What a state of the log says of one image."""

    hash: str
    view: str
    excluded: bool = False
    label: str = ""  # its class; "": as the data say
    tags: tuple[str, ...] = ()


@dataclass
class Curation:
    """The log of one data set, as far as it was read."""

    steps: list[Decision] = field(default_factory=list)

    def check(self, count: int | None = None) -> str:
        """Eight letters that stand for the first steps (None: all)."""
        steps = self.steps if count is None else self.steps[:count]
        return hashlib.sha256(json.dumps([_as_json(one) for one in steps], sort_keys=True).encode()).hexdigest()[:8]

    def carried(self, path: Path | None = None) -> str:
        """What a recipe carries of this state; `path` for a file that does not lie beside its data. "" where nothing is in force."""
        if not self.in_force():
            return ""
        return f"{'' if path is None else f'{path}#'}{len(self.steps)}-{self.check()}"

    def in_force(self) -> list[Decision]:
        """The decisions that were not undone, in their order."""
        return [self.steps[place] for place in self._stacks()[0]]

    def _stacks(self) -> tuple[list[int], list[int]]:
        """Places of (what is in force, what was undone and not yet overtaken by a new decision)."""
        done: list[int] = []
        undone: list[int] = []
        for place, step in enumerate(self.steps):
            if step.act == "undo":
                if done:
                    undone.append(done.pop())
            elif step.act == "redo":
                if undone:
                    done.append(undone.pop())
            else:
                done.append(place)
                undone.clear()
        return done, undone

    def next_undone(self, act: str) -> Decision | None:
        """The decision that "undo" would take back, or "redo" bring back; None for none."""
        stack = self._stacks()[0 if act == "undo" else 1]
        return self.steps[stack[-1]] if stack else None

    def sign_of_next(self, act: str) -> str:
        """What that decision is known by, as long as the log lasts: PLACE-CHECK of the log up to it; "" for none."""
        stack = self._stacks()[0 if act == "undo" else 1]
        return f"{stack[-1]}-{self.check(stack[-1] + 1)}" if stack else ""

    def known(self) -> dict[str, Known]:
        """What is in force about each image, by its name."""
        found: dict[str, Known] = {}
        for step in self.in_force():
            for name, digest in step.images:
                before = found.get(name, Known(digest, step.view))
                tags, label, excluded = before.tags, before.label, before.excluded
                match step.act:
                    case "exclude" | "include":
                        excluded = step.act == "exclude"
                    case "relabel":
                        label = step.value
                    case "tag":
                        tags = (*(tag for tag in tags if tag != step.value), step.value)
                    case _:
                        tags = tuple(tag for tag in tags if tag != step.value)
                found[name] = Known(digest, step.view, excluded, label, tags)
        return {name: one for name, one in found.items() if one.excluded or one.label or one.tags}


def decided(curation: Curation, act: str, images: Iterable[tuple[str, str]] = (), value: str = "", view: str = "") -> Curation:
    """The log with one more step. Raises: BadData: it says nothing, or there is nothing to undo."""
    step = Decision(act, tuple(images), value.strip(), view)
    if act in ("undo", "redo"):
        if curation.next_undone(act) is None:
            made = "made" if act == "undo" else "undone"
            raise BadData(f"There is nothing to {act}: no decision about these data was {made}; decide something first.")
    elif act not in ABOUT_IMAGES:
        raise BadData(f"“{act[:40]}” is no decision about an image; choose {', '.join(ABOUT_IMAGES)}, undo or redo.")
    elif not step.images:
        raise BadData("No image was named, so nothing was decided; choose one first.")
    elif act in WITH_VALUE and not step.value:
        raise BadData(f"To {act} an image, give the {'class' if act == 'relabel' else 'tag'}.")
    return parsed(written(Curation([*curation.steps, step]), ""), "The decisions")


def written(curation: Curation, data: str) -> bytes:
    """The file's bytes."""
    steps = [_as_json(step) for step in curation.steps]
    lines = ",\n  ".join(json.dumps(step, ensure_ascii=True) for step in steps)
    head = {"format": FORMAT, "version": VERSION, "data": data[:_NAME]}
    return f'{json.dumps(head)[:-1]}, "steps": [\n  {lines}\n]}}\n'.encode()


def _as_json(step: Decision) -> dict[str, Any]:
    whole = {"act": step.act, "images": [list(one) for one in step.images], "value": step.value, "view": step.view}
    return {name: value for name, value in whole.items() if value}


def parsed(content: bytes, name: str) -> Curation:
    """The log in a file's bytes. Raises: BadData: one sentence."""
    if len(content) > MAX_CURATION_BYTES:
        raise BadData(f"{name} has more than {MAX_CURATION_BYTES >> 20} MB, the limit; move it away to begin anew.")
    try:
        found = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise BadData(f"{name} is no JSON (it may have been cut short); put an older copy in its place, or move it away.") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BadData(f"{name} holds no decisions of Priorama about images; name another file.")
    version = found.get("version")
    if type(version) is not int or version < 1:
        raise BadData(f"{name} says no version that there is; put an older copy in its place, or move it away.")
    if version > VERSION:
        raise BadData(f"{name} is from a newer version of Priorama; update the program to use it.")
    steps = found.get("steps")
    if not isinstance(steps, list) or len(steps) > MAX_CURATION_STEPS:
        raise BadData(f"{name} has no list of at most {MAX_CURATION_STEPS:,} steps; put an older copy in its place, or move it away.")
    result = Curation([_step(one, place, name) for place, one in enumerate(steps)])
    if sum(len(step.images) for step in result.steps) > MAX_CURATED:
        raise BadData(f"{name} names more than {MAX_CURATED:,} images, the limit; move it away to begin anew.")
    return result


def _step(one: Any, place: int, name: str) -> Decision:
    wrong = BadData(f"Step {place + 1} of {name} is no decision about images; put an older copy in its place, or move it away.")
    if not isinstance(one, dict) or not set(one) <= {"act", "images", "value", "view"}:
        raise wrong
    act, images, value, view = one.get("act"), one.get("images", []), one.get("value", ""), one.get("view", "")
    if not (isinstance(act, str) and isinstance(images, list) and isinstance(value, str) and isinstance(view, str)):
        raise wrong
    if not (len(value) <= _VALUE and _VIEW.fullmatch(view) and value.isprintable()):
        raise wrong
    pairs: list[tuple[str, str]] = []
    for pair in images:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], str)):
            raise wrong
        if not (0 < len(pair[0]) <= _NAME and _HASH.fullmatch(pair[1])):
            raise wrong
        pairs.append((pair[0], pair[1]))
    moves = act in ("undo", "redo")
    if (not moves and act not in ABOUT_IMAGES) or moves == bool(pairs) or (bool(value) != (act in WITH_VALUE)):
        raise wrong
    return Decision(act, tuple(pairs), value, view)


# -- where it is kept ----------------------------------------------------------------------------------------------------


def places_of(data: str | Path) -> tuple[Path, Path]:
    """(beside the data, in the program's own folder for data whose folder cannot be written to)."""
    path = Path(os.path.abspath(os.path.expanduser(data)))
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return path.with_name(path.name + SUFFIX), user_folder("data") / "curation" / f"{path.name[:60]}-{digest}{SUFFIX}"


def file_of(data: str | Path) -> Path:
    """Where the decisions about a data set are, or will be."""
    beside, own = places_of(data)
    if os.path.lexists(beside) and (os.access(beside.parent, os.W_OK) or not os.path.lexists(own)):
        return beside
    return own if os.path.lexists(own) or not os.access(beside.parent, os.W_OK) else beside


def read(path: Path) -> Curation:
    """The log in a file; an empty one where there is none. Raises: BadData."""
    try:
        if path.exists() and not path.is_file():
            raise BadData(f"“{path.name}” is no file of decisions about images; move it away or name another.")
        with path.open("rb") as file:
            return parsed(file.read(MAX_CURATION_BYTES + 1), f"“{path.name}”")
    except FileNotFoundError:
        return Curation()
    except OSError as error:
        raise BadData(f"“{path}” cannot be read ({error.strerror}); check its permissions.") from error


def keep(data: str | Path, curation: Curation) -> Path:
    """Write the log beside the data, or where that cannot be, in the program's own folder. Returns where.

    Raises: BadData: it is too large. DiskRefuses: no room, or neither place can be written.
    """
    content = written(curation, Path(data).name)
    parsed(content, "The decisions")
    path = file_of(data)
    beside, own = places_of(data)
    if path == beside and not os.access(beside.parent, os.W_OK):
        path = own
    if path == own:
        path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, content)
    return path


def file_carried(data: str | Path, carried: str) -> Path:
    """The file of what a recipe carries: the one beside the data where it names none."""
    match = _CARRIED.fullmatch(carried)
    if match is not None and match["path"] is None:
        return file_of(data)
    return Path(os.path.expanduser(carried if match is None else match["path"]))


def carried_state(data: str | Path, carried: str) -> Curation:
    """The state that a recipe carries: STEPS-CHECK, PATH#STEPS-CHECK, or the path of a file that counts whole. Raises: BadData."""
    match, path = _CARRIED.fullmatch(carried), file_carried(data, carried)
    if not path.exists():
        raise BadData(f"The decisions about single images are missing: there is no “{path}”; put it back, or leave them out (curation).")
    found = read(path)
    if match is None:
        return found
    state = Curation(found.steps[: int(match["steps"])])
    if len(state.steps) != int(match["steps"]) or state.check() != match["check"]:
        raise BadData(
            f"“{path.name}” is not the file of decisions that was named (its first {number_of(int(match['steps']), 'step')} "
            f"differ); put it back."
        )
    return state


def carried_beside(data: str | Path, carried: str) -> tuple[Path, str]:
    """The file that holds a carried state, and how a recipe carries that state once the file lies beside the data. Raises: BadData."""
    state, match = carried_state(data, carried), _CARRIED.fullmatch(carried)
    if match is None:
        return Path(os.path.expanduser(carried)), state.carried()
    path = file_of(data) if match["path"] is None else Path(os.path.expanduser(match["path"]))
    return path, f"{match['steps']}-{match['check']}"


def pinned(data: str | Path, curation: str) -> str:
    """What a recipe carries for “beside”, the path of a file, or what it carries already: as that file is now. Raises: BadData."""
    if _CARRIED.fullmatch(curation):
        return curation
    path = file_of(data) if curation == "beside" else Path(os.path.abspath(os.path.expanduser(curation)))
    if not path.exists():
        raise BadData(f"There are no decisions about single images in “{path}”; make some with “curate”, or check the path.")
    return read(path).carried(None if path == file_of(data) else path)


def carried_at(data: str | Path, carried: str, formerly: Iterable[str | Path]) -> str:
    """How a recipe carries a state once its data lie at `data`: as before where the file came along or is named and there; else with the
    path of a file that holds it, of those of the places where the data were `formerly`. As before, too, where none does.
    """
    match = _CARRIED.fullmatch(carried)
    if match is None:
        return carried
    state = f"{match['steps']}-{match['check']}"
    for named in (carried, state):
        if _holds(data, named):
            return named
    places = [*places_of(data), *(file for place in formerly for file in places_of(place))]
    return next((named for file in places if _holds(data, named := f"{file}#{state}")), carried)


def _holds(data: str | Path, carried: str) -> bool:
    try:
        carried_state(data, carried)
    except BadData:
        return False
    return True


def names_in(sequence: Sequence[str]) -> dict[str, int]:
    """name -> its first place."""
    found: dict[str, int] = {}
    for place, name in enumerate(sequence):
        found.setdefault(name, place)
    return found


def in_brief(data: str | Path, carried: str) -> str:
    """What a carried state says in a few words, for a list: “curated: 2 left out, 1 tagged”; only “curated” where it cannot be read."""
    try:
        known = carried_state(data, carried).known().values()
    except BadData:
        return "curated"
    counts = (
        (sum(one.excluded for one in known), "left out"),
        (sum(bool(one.label) for one in known), "relabelled"),
        (sum(bool(one.tags) for one in known), "tagged"),
    )
    return f"curated: {', '.join(f'{count:,} {words}' for count, words in counts if count) or 'nothing in force'}"


def effect(data: str | Path, carried: str) -> str:
    """What two carried states have in common that come to the same set, however often one of them was undone; as carried if unreadable."""
    try:
        return repr(sorted(carried_state(data, carried).known().items()))
    except BadData:
        return carried
