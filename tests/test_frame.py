"""The frame of the tests itself: whatever a test leaves behind turns it red."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LEAKS = """
import logging, subprocess, sys, threading, warnings
from PySide6.QtCore import QThread, QTimer, qWarning
from PySide6.QtWidgets import QWidget

kept = []

def test_leaves_a_thread():
    threading.Thread(target=threading.Event().wait, args=(60,), daemon=True).start()

def test_leaves_a_timer(qapp):
    kept.append(QTimer())
    kept[-1].start(1000)

def test_leaves_a_widget(qapp):
    kept.append(QWidget())

def test_leaves_a_child_process():
    kept.append(subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE))

def test_leaves_a_log_warning():
    logging.getLogger("somewhere").warning("oh")

def test_leaves_a_qt_warning(qapp):
    qWarning("hm")

def test_leaves_a_python_warning():
    warnings.warn("hm")

def test_cleans_up(qtbot, caplog):
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.show()
    timer = QTimer()
    timer.start(1000)
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    logging.getLogger("somewhere").warning("meant")
"""


@pytest.mark.slow
def test_that_whatever_a_test_leaves_behind_turns_it_red(tmp_path):
    (tmp_path / "test_leaks.py").write_text(LEAKS, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-c", str(ROOT / "pyproject.toml"), "-v", "-p", "no:cacheprovider"]
    answer = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110)
    said = answer.stdout
    for what in (
        "thread Thread-",
        "QTimer, started at",
        "top-level widget <PySide6.QtWidgets.QWidget",
        "child process",
        "somewhere WARNING: oh",
    ):
        assert what in said, said
    for name in ("leaves_a_qt_warning", "leaves_a_python_warning"):
        assert f"test_{name} FAILED" in said, said
    assert "test_cleans_up PASSED" in said
    assert "test_cleans_up ERROR" not in said
