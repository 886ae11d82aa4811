"""Whether a data set is still the one that a run was trained on: by content, not by name."""

from __future__ import annotations

from engine.storage.manifest import Manifest
from engine.storage.run_folders import BadRun


def require_same_data(
    manifest: Manifest, run: str, data_hash: str, remedy: str = "; put the old files back", former_hash: str = ""
) -> None:
    """Check the content hash of the data that the manifest names.

    Args:
        run: the run's name, for the sentence.
        remedy: how the sentence ends.
        former_hash: what the hash would be had version 0.2 split the same data; empty where that makes no difference.

    Raises:
        BadRun: the content is another one, or it is divided differently into training, validation and test images.
    """
    if data_hash == manifest.data_hash:
        return
    if manifest.data == "photo-patches" or (former_hash and former_hash == manifest.data_hash):
        raise BadRun(
            f"{manifest.data} was divided differently into training, validation and test images when {run} was trained, so that some "
            "of what is now held out was trained on; train a new run."
        )
    raise BadRun(f"{manifest.data} is not what {run} was trained on (its content changed){remedy}.")
