"""Whether a folder that a form names holds what its setting wants: a model of others, or a run. No weights are read."""

from __future__ import annotations

from engine import messages as m
from engine.common.user_folders import person_path
from engine.queries.answers import answers
from engine.queries.session import QuerySession
from engine.storage.pretrained_folder import BadBackbone, inspect_folder
from engine.storage.run_folders import is_run


@answers(m.InspectFolder)
def inspect(session: QuerySession, query: m.InspectFolder) -> m.FolderInspected:
    """One sentence on what is wrong with a folder. Raises: nothing; a kind that is not known has no faults."""
    fault = ""
    if query.path and query.kind == "model":
        try:
            inspect_folder(query.path)
        except BadBackbone as error:
            fault = str(error)
    elif query.path and query.kind == "run":
        path = person_path(query.path)
        if not path.is_absolute() and len(path.parts) == 1:
            pass  # a name: training looks it up among the runs first
        elif path.is_dir() and not is_run(path):
            fault = f"{path.name or path} is no run: a run's folder holds a manifest.json. Choose one, or type the name of a run."
        elif path.is_absolute() and not path.exists():
            fault = f"There is no folder “{query.path}”; choose a run's folder, or type the name of a run."
    return m.FolderInspected(stamp=query.stamp, channel=query.channel, path=query.path, fault=fault)
