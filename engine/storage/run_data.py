"""Whether a data set is still the one that a run was trained on: by content, not by name."""

from __future__ import annotations

from engine.storage.manifest import Manifest
from engine.storage.run_folders import BadRun


def require_same_data(manifest: Manifest, run: str, data_hash: str, remedy: str = "; put the old files back") -> None:
    """Check the content hash of the data that the manifest names.

    Args:
        run: the run's name, for the sentence.
        remedy: how the sentence ends.

    Raises:
        BadRun: the content is another one.
    """
    if data_hash != manifest.data_hash:
        raise BadRun(f"{manifest.data} is not what {run} was trained on (its content changed){remedy}.")
