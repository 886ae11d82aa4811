"""Starts the program: the window first and the engine after it; headless verbs go to `engine.cli`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from engine.cli import Parser, Usage
from engine.common.user_folders import person_path

VERBS = (
    "list", "data", "curate", "train", "eval", "errors", "probe", "sample", "embed", "patches", "score", "ood", "chains", "export",
    "import", "bench", "test",
)  # fmt: skip
USAGE = "priorama [VERB …] | tour --out DIR | demo [--out DIR] | [--runs DIR] [--reset]"


def main(argv: list[str] | None = None) -> int:
    """Returns the exit code: 0 good, 1 failed, 2 wrong usage."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        if arguments and arguments[0] in VERBS:
            from engine.cli import main as run_verb

            return run_verb(arguments)
        if arguments and arguments[0] == "tour":
            return tour(arguments[1:])
        if arguments and arguments[0] == "demo":
            return demo(arguments[1:])
        given = options(arguments)
    except Usage as error:
        print(error, file=sys.stderr)
        return 2
    if given.help:
        print(f"usage: {USAGE}\nverbs: {' '.join((*VERBS, 'tour', 'demo'))}\nWithout a verb the window opens.")
        return 0
    if not has_display():
        print(
            "There is no display here, so the demo runs instead: it trains two models and makes a page of pictures, in ./demo.", flush=True
        )
        return demo([])
    return open_window(given.runs, given.reset)


def options(arguments: list[str]) -> argparse.Namespace:
    """Those of the window: `runs` (a folder, None for the usual one), `reset`, `help`. Raises: Usage."""
    parser = Parser(prog="priorama", add_help=False, allow_abbrev=False)
    parser.add_argument("--runs", metavar="DIR", nargs="?", const="")
    parser.add_argument("--reset", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    given, unknown = parser.parse_known_args(arguments)
    for word in unknown:
        if word.startswith("-"):
            raise Usage(f"There is no option “{word}”; there are --runs DIR and --reset.")
        raise Usage(f"There is no verb “{word}”; there are: {', '.join((*VERBS, 'tour', 'demo'))}, and none opens the window.")
    if given.runs == "":
        raise Usage("--runs needs a folder: --runs DIR.")
    given.runs = None if given.runs is None else person_path(given.runs)
    return given


def has_display() -> bool:
    if not sys.platform.startswith("linux"):
        return True
    if os.environ.get("QT_QPA_PLATFORM", "").split(":")[0] in ("offscreen", "minimal", "vnc"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def tour(arguments: list[str]) -> int:
    from app.tour.runner import main as run_tour

    return run_tour(arguments)


def demo(arguments: list[str]) -> int:
    from app.tour.demo import main as run_demo
    from engine.cli import main as run_verb

    return run_demo(arguments, run_verb)


class Flag:
    """What a signal may do: raise a flag. It comes between any two lines, also while a lock is held, so it must not take one."""

    up = False

    def raise_it(self, *_: object) -> None:
        self.up = True


def open_window(runs: Path | None, reset: bool) -> int:
    sys.setswitchinterval(0.0005)  # the window must get Python's lock back soon from a training thread
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from app.shell import settings as stored
    from app.shell.application import prepare
    from app.shell.main_window import Window
    from app.shell.session_log import Hooks, Log
    from engine.worker.engine import Engine

    app = QApplication(["priorama"])
    prepare(app)
    path = stored.default_path()
    note = ""
    if reset:
        stored.set_aside(path)
    settings, note = stored.load(path)
    log = Log(path.with_name("priorama.log"))
    window = Window(Engine(runs), settings, path, log, note)
    hooks = Hooks(log)
    hooks.install()
    told_to_close = Flag()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the last one when a terminal is closed; Windows has none
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), told_to_close.raise_it)
    beat = QTimer()  # closes the window from the event loop, and gives Python a chance to run the handlers
    beat.timeout.connect(lambda: told_to_close.up and window.close())
    beat.start(100)
    window.show()
    code = app.exec()
    beat.stop()
    window.finish()
    hooks.remove()
    log.close()
    if not window.ended_in_time:
        # A lane is still inside torch, and Python would abort while it ends; everything is on disk.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
