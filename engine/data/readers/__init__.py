"""ONE FILE = ONE KIND OF SOURCE. The first in `ORDER` that recognizes a path reads it.

A reader has
    recognizes(path: Path) -> bool                                  cheap, never raises
    summary(path: Path) -> str                                      cheap: what the data list says
    read(path: Path, recipe: ImportRecipe) -> Generator[Step, None, Source]   raises BadData or OSError
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from engine.data.dataset import BadData
from engine.data.readers import arrays, cifar, folders, hdf5, idx, matlab, packed, parquet, pixel_table, stl10, tensors, text

ORDER: tuple[ModuleType, ...] = (idx, cifar, stl10, arrays, tensors, hdf5, matlab, packed, parquet, pixel_table, text, folders)


def reader_for(path: Path) -> ModuleType:
    """The reader of an existing path.

    Raises:
        BadData: nothing here reads it.
    """
    for reader in ORDER:
        if reader.recognizes(path):
            return reader
    raise BadData(
        f"“{path.name}” is no data set that Priorama reads; choose a folder of images, an IDX or CIFAR folder, "
        "or a .zip, .tar, .parquet, .npz, .npy, .mat, .h5, .pt or text file."
    )


def files_beside(path: Path) -> list[Path]:
    """The other files of its folder without which a file is read otherwise: labels of IDX images, further batches of CIFAR."""
    reader = reader_for(path)
    several = path.is_file() and reader in (idx, cifar)
    return [file for file in reader.files(path) if file != path] if several else []
