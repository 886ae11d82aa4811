"""What went wrong or was said, kept for the log pane: a bounded history, a file beside the settings, and the hooks that feed it."""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
import time
import traceback
from collections import deque
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import IO

from PySide6.QtCore import QMessageLogContext, QObject, QtMsgType, Signal, qInstallMessageHandler

MOST = 2000
MOST_BYTES = 2_000_000
LEVELS = ("info", "good", "warning", "bad")


@dataclass(frozen=True)
class Record:
    when: float  # seconds since the epoch
    level: str
    text: str
    details: str = ""

    def line(self) -> str:
        return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.when))} {self.level:<7} {self.text}"


class _LogFile(RotatingFileHandler):
    """Bounded: past `MOST_BYTES` the file becomes `….old.log`, of which there is one. A full disk costs lines, not the session."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MOST_BYTES, backupCount=1, encoding="utf-8", errors="replace")
        self.namer = lambda _name: str(path.with_suffix(".old.log"))

    def handleError(self, record: logging.LogRecord) -> None:
        pass


class Log(QObject):
    """The history of one start. `added` may be emitted from any thread; slots of widgets run in the window's own."""

    added = Signal(object)
    faulted = Signal(object)  # the record of an exception that nobody caught

    def __init__(self, path: Path | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.records: deque[Record] = deque(maxlen=MOST)
        self.path = path
        self._file: _LogFile | None = None
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = _LogFile(path)
            except OSError:
                self.path = None

    def add(self, level: str, text: str, details: str = "") -> Record:
        record = Record(time.time(), level if level in LEVELS else "info", text, details)
        self.records.append(record)
        if self._file is not None:
            lines = record.line() + ("\n" + details.rstrip() if details else "")
            self._file.handle(logging.makeLogRecord({"name": "priorama", "msg": lines}))
        self.added.emit(record)
        return record

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class Hooks:
    """Sends uncaught exceptions and Qt's own messages to the log while it is installed; a crash leaves its stack in `crash.log`."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._before = (sys.excepthook, threading.excepthook)
        self._crash: IO[str] | None = None
        self._busy = False

    def install(self) -> None:
        sys.excepthook = self._exception
        threading.excepthook = self._thread_exception
        qInstallMessageHandler(self._qt_message)
        if self.log.path is not None:
            try:
                self._crash = open(self.log.path.with_name("crash.log"), "w", encoding="utf-8")  # noqa: SIM115
                faulthandler.enable(self._crash)
            except OSError:
                self._crash = None

    def remove(self) -> None:
        sys.excepthook, threading.excepthook = self._before
        qInstallMessageHandler(None)
        if self._crash is not None:
            faulthandler.disable()
            self._crash.close()
            self._crash = None

    def _exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            self._before[0](kind, error, trace)
            return
        details = "".join(traceback.format_exception(kind, error, trace))
        text = f"Something went wrong in the window ({kind.__name__}: {error}). Your runs are safe; go on, and see the details."
        self._report(text, details)

    def _report(self, text: str, details: str) -> None:
        record = self.log.add("bad", text, details)
        if not self._busy:
            self._busy = True
            try:
                self.log.faulted.emit(record)
            finally:
                self._busy = False

    def _thread_exception(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_type is SystemExit or args.exc_value is None:
            return
        details = "".join(traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback))
        name = args.thread.name if args.thread else "background"
        self._report(
            f"Something went wrong in the {name} ({args.exc_type.__name__}: {args.exc_value}). Your runs are safe; restart the program.",
            details,
        )

    def _qt_message(self, kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
        level = {QtMsgType.QtDebugMsg: "info", QtMsgType.QtInfoMsg: "info", QtMsgType.QtWarningMsg: "warning"}.get(kind, "bad")
        self.log.add(level, f"Qt: {text}")
