"""What the Latent pane asks about several runs: their rates and distortions."""

from __future__ import annotations

from dataclasses import asdict

from engine import messages as m
from engine.common.counting import number_of
from engine.data import BadData
from engine.evaluation.rate_distortion import likelihood_of, rate_point, require_rate
from engine.queries.answers import Job, answers
from engine.queries.progress import ProgressReporter
from engine.queries.session import CannotAnswer, QuerySession
from engine.storage.run_folders import BadRun


@answers(m.MeasureRateDistortion)
def measure_rate_distortion(session: QuerySession, work: m.MeasureRateDistortion) -> Job:
    """A point for each run, as `eval --rate-distortion` says it; a run that has none is told with the reason, and the others go on."""
    found = 0
    for place, (run, step) in enumerate(work.runs):
        try:
            model = session.model(run, step)
            require_rate(model)
            data = yield from session.load_run_data(model, work.job)
        except (BadRun, BadData, CannotAnswer) as error:
            yield m.RateDistortionMeasured(work.job, run, step or 0, error=str(error))
            continue
        measuring = rate_point(model, data.splits["valid"], work.limit, 0)
        progress = None
        while True:
            try:
                done, total = next(measuring)
            except StopIteration as end:
                point = end.value
                break
            if progress is None:
                note = f"Rate and distortion of {model.run.name}, run {place + 1} of {len(work.runs)}"
                progress = ProgressReporter(work.job, run, total, "image", note, every=0.2)
            yield progress.at(done)
        yield m.RateDistortionMeasured(work.job, run, model.step, **asdict(point), comparable=likelihood_of(model))
        found += 1
    return f"Rate and distortion of {number_of(found, 'run')} {'is' if found == 1 else 'are'} measured."
