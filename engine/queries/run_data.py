"""Where a run's data are, for the window: checked without reading them, and looked for by their content."""

from __future__ import annotations

from pathlib import Path

from engine import messages as m
from engine.common.data_names import short_name
from engine.queries.answers import Job, answers
from engine.queries.session import QuerySession
from engine.storage.listed_data import locate_listed
from engine.storage.manifest import place_of
from engine.storage.run_data import forget_refuted, locate, open_run_data, path_of, why_unreachable
from engine.storage.run_folders import BadRun
from engine.storage.run_reader import Run


@answers(m.CheckData)
def check_data(session: QuerySession, query: m.CheckData) -> m.DataChecked:
    """What is wrong with a run's data as far as it is seen, or as it was found when they were read last. Raises: BadRun."""
    run = Run.open(Path(query.run))
    if run.manifest is None:
        raise BadRun(run.fault)
    place = place_of(run.manifest)
    fault = why_unreachable(place, run.name) or session.why_no_data(run.manifest, run.name)
    return m.DataChecked(stamp=query.stamp, channel=query.channel, run=query.run, data=path_of(place), fault=fault)


@answers(m.LocateData)
def locate_data(session: QuerySession, work: m.LocateData) -> Job:
    """Everything is read anew: the files may have been mended since. Raises: BadRun: another content. BadData: unreadable, or nowhere."""
    run = Run.open(Path(work.run))
    if run.manifest is not None:
        forget_refuted(run.manifest)
    if work.place:
        found = yield from locate(run, work.place, work.job, session.load_data_anew)
    else:
        found = yield from open_run_data(run, work.job, read=session.load_data_anew)
    yield m.DataLocated(work.job, work.run, path_of(found.data))
    return f"The data of “{run.name}” are in “{path_of(found.data)}”."


@answers(m.LocateListed)
def locate_listed_data(session: QuerySession, work: m.LocateListed) -> Job:
    """Everything is read anew. Raises: BadData: another set, or unreadable."""
    now, compared = yield from locate_listed(Path(work.root), work.data, work.place, work.job, session.load_data_anew)
    yield m.ListedLocated(work.job, work.data, now, compared)
    return f"“{short_name(work.data)}” is in “{path_of(now)}”."
