"""What the inspector asks about codes on data with true factors: MIG and DCI."""

from __future__ import annotations

from engine import messages as m
from engine.common.counting import number_of
from engine.evaluation.disentanglement import measure_run, require_encoder
from engine.queries.answers import Job, answers
from engine.queries.progress import ProgressReporter
from engine.queries.session import QuerySession

SPLIT = "valid"


@answers(m.MeasureDisentanglement)
def measure_disentanglement(session: QuerySession, work: m.MeasureDisentanglement) -> Job:
    """MIG and DCI on all validation images, as `eval RUN --disentanglement` says them. Raises: CannotAnswer, BadRun, BadData."""
    model = session.model(work.run, work.step)
    require_encoder(model)
    data = yield from session.load_run_data(model, work.job)
    measuring = measure_run(model, data, SPLIT, None, 0)
    stages: dict[str, ProgressReporter] = {}
    while True:
        try:
            done, total, unit = next(measuring)
        except StopIteration as end:
            values = end.value.values
            break
        if unit not in stages:
            stages[unit] = ProgressReporter(work.job, work.run, total, unit, "Measuring MIG and DCI", every=0.2)
        yield stages[unit].at(done)
    yield m.DisentanglementMeasured(
        work.job,
        work.run,
        model.step,
        values["images"],
        {name: value for name, value in values.items() if isinstance(value, float)},
        tuple(m.FactorFigures(name, **one) for name, one in values["factors"].items()),
        values["codes"],
        values["code_bins"],
        values["factor_bins"],
    )
    return f"MIG and DCI of {number_of(values['images'], 'validation image')} are measured."
