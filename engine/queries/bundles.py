"""Runs as one file, for the window: written, and put among the runs."""

from __future__ import annotations

from pathlib import Path

from engine import messages as m
from engine.bundle import export_run, import_run
from engine.queries.answers import Job, answers
from engine.queries.progress import counted
from engine.queries.session import QuerySession


@answers(m.ExportRun)
def export(session: QuerySession, work: m.ExportRun) -> Job:
    """Raises: BadRun, NoSpace."""
    path, out = Path(work.run), Path(work.out)
    done = yield from counted(export_run(path, out, work.with_data, work.without_resume), work.job, work.run, "file", "Packing")
    less = ", without what going on with the training needs," if done.without_resume else ""
    kept = f"{path.name}{' with its data' if done.with_data else ''}{less} is in {out}, {done.bytes / 1e6:,.1f} MB before packing."
    return f"{kept} {' '.join(done.left_out)}".strip()


@answers(m.ImportRun)
def take_in(session: QuerySession, work: m.ImportRun) -> Job:
    """Raises: BadBundle, BadRun, NoSpace."""
    found = yield from counted(import_run(Path(work.file), Path(work.root)), work.job, work.file, "file", "Unpacking")
    yield m.RunImported(work.job, str(found.run))
    data = f" Its data are in {found.data}." if found.data else ""
    only = (
        " It came without what going on with the training needs: it can be looked at, not trained further." if found.without_resume else ""
    )
    return f"The run {found.run.name} was unpacked, and every file of it checked.{data}{only}"
