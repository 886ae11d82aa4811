"""The endings of all files that open, in one place: the readers of the engine and the dialogs of the window go by them."""

from __future__ import annotations

PICTURES = (
    ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".ppm", ".pgm", ".pbm", ".pfm", ".ico", ".jp2", ".heic",
    ".heif", ".dcm",
)  # fmt: skip
COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVES = (".zip", ".tar", *COMPRESSED_TARS)
NUMPY = (".npz", ".npy")
TENSORS = (".pt", ".pth")
HDF5 = (".h5", ".hdf5", ".he5")
MATLAB = (".mat",)
PARQUET = (".parquet",)
IDX = ("-ubyte", "-ubyte.gz")
BINARY = (".bin",)  # CIFAR, STL-10
TEXTS = (".txt", ".md", ".text", ".rst", ".py", ".csv", ".json", ".html", ".xml", ".tex")

IMAGE_SETS = (*ARCHIVES, *NUMPY, *TENSORS, *HDF5, *MATLAB, *PARQUET, *IDX, *BINARY)  # files that hold many images
DATA = (*IMAGE_SETS, *TEXTS)


def dialog_filter(what: str, endings: tuple[str, ...]) -> str:
    """What a file dialog lists: “Images (*.png *.jpg);;All files (*)”."""
    return f"{what} ({' '.join(f'*{ending}' for ending in endings)});;All files (*)"
