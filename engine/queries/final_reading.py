"""What the window asks for at the end: the figures of a run's best checkpoint on all test images, kept in the run."""

from __future__ import annotations

from pathlib import Path

from engine import messages as m
from engine.evaluation.final_figures import final_figures
from engine.queries.answers import Job, answers
from engine.queries.session import QuerySession


@answers(m.FinalFigures)
def read_final_figures(session: QuerySession, work: m.FinalFigures) -> Job:
    """The figures, and which reading of the test images it was. Raises: BadRun, BadData, CannotAnswer."""
    reading, count = yield from final_figures(Path(work.run), job=work.job)
    yield m.FinalFiguresFound(
        work.job, work.run, reading.split, reading.step, reading.step_rule, reading.images, reading.values, reading.date, count
    )
    again = f" It was reading {count} of the test images: what was chosen by an earlier one makes this one look too good."
    return f"The final figures are kept in the run, with the date.{again if count > 1 else ''}"
