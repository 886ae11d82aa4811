"""How a helper process of the program is started: with the program's own Python and packages, and nothing of the folder a person
stands in or of PYTHONPATH. A `torch.py` beside somebody's pictures is never imported.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_START = "import runpy, sys; sys.path[:0] = sys.argv[1:2]; sys.path += sys.argv[3:]; runpy.run_module(sys.argv[2], run_name='__main__')"
_FOUND_BY = ("numpy", "torch", "PIL")  # the folders that these were loaded from are trusted already
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def isolated_command(module: str) -> list[str]:
    """The command that runs a module of the program as a process. To be started with `cwd=ROOT`.

    -I leaves out the current folder, PYTHONPATH, PYTHONSTARTUP and the user's own packages; folders that this process has its
    libraries from come last, in case they are nowhere else.
    """
    return [sys.executable, "-I", "-W", "ignore", "-c", _START, str(ROOT), module, *_library_folders()]


def isolated_script(script: str, *arguments: str) -> list[str]:
    """The same for a few lines of Python that import libraries only; their arguments are in `sys.argv[1:]`."""
    return [sys.executable, "-I", "-W", "ignore", "-c", f"import sys; sys.path += {_library_folders()!r}\n{script}", *arguments]


def isolated_environment(**more: str) -> dict[str, str]:
    """The environment of a helper process: computes with one thread, and no setting of Python comes along."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, **dict.fromkeys(_ONE_THREAD, "1"), **more}


def _library_folders() -> list[str]:
    files = [getattr(sys.modules.get(name), "__file__", None) for name in _FOUND_BY]
    return list(dict.fromkeys(str(Path(file).resolve().parents[1]) for file in files if file))
