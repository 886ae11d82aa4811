"""Helper processes import nothing from the folder a person stands in, from PYTHONPATH or from beside the data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NAMES = ("torch", "numpy", "PIL", "json", "numba", "umap", "sitecustomize", "usercustomize", "safetensors", "engine")

PICTURE = "from engine.data import read_image; import io; from PIL import Image; b = io.BytesIO(); Image.new('L', (9, 9)).save(b, 'PNG'); "
UMAP = """
from engine.umap.process import UmapProcess
import time
process = UmapProcess()
process.start()
list_of_waits = process._until_ready()
for _ in list_of_waits: pass
process.close()
"""
PICKLED = """
import torch
from engine.storage import pretrained_folder as p
from pathlib import Path
try:
    p._unpickled(Path("model").absolute(), "model")
except p.BadBackbone as error:
    print(error)
"""
CHILDREN = {"reading": PICTURE + "read_image(b.getvalue())", "umap": UMAP, "pickled model": PICKLED}


@pytest.mark.slow
@pytest.mark.parametrize("child", CHILDREN)
def test_that_no_child_imports_what_lies_around(tmp_path, child):
    """The parent gets its modules first; what its child imports from the folder leaves a trace there."""
    trace = tmp_path / "trace"
    hostile = f"open({str(trace)!r}, 'a').write(__name__ + chr(10))\nraise ImportError('hostile')\n"
    model = tmp_path / "model"
    model.mkdir()
    for folder in (tmp_path, model):
        for name in NAMES:
            (folder / f"{name}.py").write_text(hostile)
    (model / "config.json").write_text("{}")
    (model / "pytorch_model.bin").write_bytes(b"no pickle")
    script = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); os.environ['PYTHONPATH'] = os.pathsep + {str(tmp_path)!r}\n{CHILDREN[child]}"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    answer = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert answer.returncode == 0, answer.stderr
    assert not trace.exists(), trace.read_text()
    if child == "pickled model":
        assert "cannot be read safely" in answer.stdout
