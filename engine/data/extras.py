"""Libraries that only some kinds of data need, loaded when the first such file comes. Runs in the reading process only."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import ModuleType
from typing import Any

EXTRAS = {"pyarrow": "parquet", "h5py": "hdf5", "pydicom": "dicom", "pillow_heif": "heif"}  # library -> extra of pyproject.toml
_SETTINGS = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # the others reserve memory that the limit counts, and start a thread
    "HDF5_PLUGIN_PRELOAD": "::",  # no filter of HDF5 is loaded because a file names it
    "HDF5_USE_FILE_LOCKING": "FALSE",  # files on a shared disk that is only read
}


def library(name: str) -> Any:
    """The module, or None where it is not installed. The time that loading takes is not counted as that of a file."""
    if name in sys.modules:
        return sys.modules[name]
    os.environ.update(_SETTINGS)
    left = signal.setitimer(signal.ITIMER_PROF, 0)[0] if hasattr(signal, "setitimer") else 0.0
    try:
        return _loaded(name)
    finally:
        if left:
            signal.setitimer(signal.ITIMER_PROF, left)


def _loaded(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError):
        return None


def how_to_get(name: str) -> str:
    """The next step where a library is missing, as the end of a sentence."""
    return f"install it with “{'.venv/Scripts' if os.name == 'nt' else '.venv/bin'}/python -m pip install {name.replace('_', '-')}”"
