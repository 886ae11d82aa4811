"""The verb `eval`: held-out likelihood or accuracy of a checkpoint, and distances of its samples."""

from __future__ import annotations

import argparse
import math
from typing import Any

from engine.cli.console import Console
from engine.cli.errors import Usage
from engine.cli.parser import VerbParsers, pairs, positive_int
from engine.cli.runs import add_place_of_data, located_run_path, run_path

UNITS = {
    "nats": "nat",
    "elbo_nats": "nat",
    "nats_given_class": "nat",
    "next_frame_nats": "nat",
    "bits_per_dim": "bits/dim",
    "next_frame_bits_per_dim": "bits/dim",
    "elbo_bits_per_dim": "bits/dim",
    "rate_nats": "nat",
    "distortion_nats": "nat",
    "distortion_bits_per_dim": "bits/dim",
    "nats_per_token": "nat/symbol",
    "bits_per_token": "bits/symbol",
    "accuracy": "%",
    "bayes_accuracy": "%",
}
TITLES = {
    "nats": "−log p(x)",
    "nats_given_class": "−log p(x|y)",
    "next_frame_nats": "−log p(x | four before)",
    "next_frame_bits_per_dim": "−log p(x | four before)",
    "rate_nats": "rate, KL(q(z|x)|p(z))",
    "distortion_nats": "distortion, −log p(x|z)",
    "distortion_bits_per_dim": "distortion, −log p(x|z)",
    "linear": "linear probe",
    "knn": "nearest neighbours",
    "nats_per_token": "−log p(text)",
    "bits_per_token": "−log p(text)",
    "bayes_accuracy": "accuracy, Bayes’ rule",
    "tokens": "symbols",
    "unknown_tokens": "of them unknown",
    "decode": "samples are",
    "fd": "Fréchet distance",
    "kd": "kernel distance",
    "fd_real": "Fréchet distance, real images",
    "kd_real": "kernel distance, real images",
    "mig": "MIG",
    "dci_disentanglement": "DCI disentanglement",
    "dci_completeness": "DCI completeness",
    "dci_informativeness": "DCI informativeness",
    "code_bins": "bins of a code",
    "factor_bins": "bins of a factor",
}
DECODES = {"mean": "means of p(x|z)", "sample": "drawn from p(x|z)"}


def add(verbs: VerbParsers) -> None:
    """Its words."""
    sub = verbs.add_of_run("eval", evaluate_run, "Score a run on validation images; --final on test images.")
    add_place_of_data(sub)
    sub.add_argument("--limit", type=positive_int, help="how many images, spread over the split; of a text, symbols")
    sub.add_argument(
        "--split",
        choices=("test", "valid", "train"),
        help="whose images: valid when left out; the final figures on test are read by --final",
    )
    sub.add_argument(
        "--final",
        action="store_true",
        help="the run's final figures: its best checkpoint on all test images, kept in the run with the date; read them once",
    )
    sub.add_argument("--k", type=positive_int, default=128, help="importance samples per image for bounds")
    sub.add_argument(
        "--prior",
        default="uniform",
        metavar="P",
        help="of Bayes' rule on p(x|y): uniform, data (the classes' shares of the training images), or a probability for each class, "
        "with commas between",
    )
    sub.add_argument(
        "--features", metavar="RUN", help="also the Fréchet and the kernel distance of samples, in the features of this run's encoder"
    )
    sub.add_argument(
        "--decode",
        choices=("mean", "sample"),
        help="what those samples are, of a model with p(x|z): its mean (when left out) or a sample of it",
    )
    sub.add_argument("--samples", type=positive_int, default=1000, metavar="N", help="how many samples those are of")
    sub.add_argument(
        "--captions", type=positive_int, metavar="N", help="also how many of N drawn captions of “shapes” are right, for models of captions"
    )
    sub.add_argument(
        "--disentanglement",
        action="store_true",
        help="in place of it all MIG and DCI of latents or embeddings, on data with true factors (“shapes”)",
    )
    sub.add_argument(
        "--rate-distortion",
        nargs="*",
        metavar="RUN",
        help="in place of it all rate and distortion of this run and of the runs that are named, which differ in beta for example",
    )
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the sampler that draws them")


def evaluate_run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """What the method can be measured by; see `engine.evaluation.evaluate`."""
    from engine.evaluation.bayes import BadPrior
    from engine.evaluation.evaluate import evaluate
    from engine.queries.session import CannotAnswer, Model
    from engine.storage.run_reader import Run

    path, settings = located_run_path(options, console), pairs(options.set)
    if options.disentanglement:
        return _disentanglement(options, console)
    if options.rate_distortion is not None:
        return _rate_distortion(options, console)
    split = options.split or "valid"
    if settings and not options.features and not options.captions:
        raise Usage("--set is of the sampler, whose samples --features and --captions look at: give one of them, or leave out --set.")
    if options.final:
        return _final(options, console)
    if options.decode and not options.features:
        raise Usage("--decode says what the samples are that --features compares; name an encoder with --features, or use sample --decode.")
    if split == "test":
        console.note("These are test images: choose nothing by their figures. --final reads them once, all, and keeps what it finds.")
    encoder = run_path(options, options.features) if options.features else None
    if settings:
        _check(Run.open(path), settings)
    try:
        with console.signals.gently():
            at = (path, options.step, options.limit, options.k, options.seed)
            result = console.run(evaluate(*at, split=split, prior=options.prior, stop=lambda: console.stopped))
        values: dict[str, Any] = {"step": result.step, "step_rule": result.step_rule, "split": split}
        values |= {**({"images": result.images} if result.images else {}), **result.values}
        if result.stopped:
            console.say(table(values))
            return values | {"stopped": result.stopped}
    except BadPrior as error:
        raise Usage(str(error)) from None
    except CannotAnswer:
        if encoder is None and not options.captions:
            raise
        model = Model(Run.open(path), options.step)
        values = {"step": model.step, "step_rule": model.step_rule}  # samples can be compared where nothing else can be scored
    if encoder is not None:
        from engine.evaluation.fid import fidelity

        at = (options.samples, values["step"], options.seed)
        values |= console.run(fidelity(path, encoder, *at, split=split, decode=options.decode, settings=settings))
    if options.captions:
        from engine.evaluation.caption_accuracy import caption_accuracy

        values |= console.run(caption_accuracy(path, options.captions, values["step"], options.seed, settings))
    console.say(table(values))
    return values


def _disentanglement(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """MIG and DCI. Raises: Usage: words that ask for something else at the same time."""
    from engine.evaluation.disentanglement import disentanglement

    _require_alone(options, "--disentanglement")
    values = console.run(disentanglement(run_path(options), options.step, options.limit, options.split or "valid", options.seed))
    console.say(table({name: value for name, value in values.items() if name != "factors"}))
    console.say(_factor_table(values["factors"]))
    return values


def _require_alone(options: argparse.Namespace, word: str) -> None:
    """Raises: Usage: words of another measurement stand beside this one."""
    several = options.disentanglement and options.rate_distortion is not None
    if several or options.final or options.features or options.captions or options.set or options.prior != "uniform":
        beside = "--final, --features, --captions, --prior, --set and other measurements"
        raise Usage(f"{word} is a measurement of its own: leave out {beside}.")


def _rate_distortion(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """The points of several runs. Raises: Usage, as `_disentanglement`."""
    from engine.evaluation.rate_distortion import SAMPLES, rate_distortion

    _require_alone(options, "--rate-distortion")
    paths = list(dict.fromkeys([run_path(options), *(run_path(options, name) for name in options.rate_distortion)]))
    split = options.split or "valid"
    points = console.run(rate_distortion(paths, options.step, options.limit, split, options.seed))
    console.say(_rate_table(points))
    return {"rate_distortion": points, "split": split, "images": points[0]["images"], "k": SAMPLES}


def _rate_table(points: list[dict[str, Any]]) -> str:
    """A row for each run, lowest rate first."""
    wide = max(12, *(len(one["run"]) for one in points))
    rows = [f"{'run':<{wide}}{'beta':>8}{'rate, nat':>20}{'distortion, nat':>22}{'bits/dim':>10}{'−ELBO, nat':>22}"]
    for one in points:
        cells = [f"{one[key] * sign:.3f} ± {one[f'{key}_se']:.3f}" for key, sign in (("rate", 1), ("distortion", 1), ("elbo", -1))]
        beta = "" if one["beta"] is None else f"{one['beta']:g}"
        rows.append(f"{one['run']:<{wide}}{beta:>8}{cells[0]:>20}{cells[1]:>22}{one['distortion_bits_per_dim']:>10.4f}{cells[2]:>22}")
    return "\n".join(rows)


def _factor_table(factors: dict[str, dict[str, float]]) -> str:
    """A row for each factor: its gap, completeness and informativeness, and the code that tells most of it."""
    rows = [f"{'':<10}{'MIG':>8}{'completeness':>14}{'informativeness':>17}{'code':>6}"]
    for name, one in factors.items():
        rows.append(f"{name:<10}{one['mig']:>8.3f}{one['completeness']:>14.3f}{one['informativeness']:>17.3f}{one['code']:>6}")
    return "\n".join(rows)


def _check(run: Any, settings: dict[str, str]) -> None:
    """Before anything is computed. Raises: BadSampleSetting."""
    from engine.queries.sampling import sampler_settings
    from engine.queries.session import unloaded

    if run.manifest is not None:
        sampler_settings(unloaded(run.manifest), settings)


def _final(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Read the final figures and say which reading it was. Raises: Usage: words that would make it another measurement."""
    from engine.evaluation.final_figures import final_figures

    plain = not (options.limit or options.features or options.captions or options.decode) and options.step is None
    if not plain or (options.split or "test") != "test" or options.prior != "uniform":
        raise Usage(
            "--final takes the best checkpoint and all test images: leave out --limit, --step, --split, --prior, --decode, --features and "
            "--captions."
        )
    reading, count = console.run(final_figures(run_path(options), options.k, options.seed))
    values: dict[str, Any] = {"step": reading.step, "step_rule": reading.step_rule, "split": reading.split, "images": reading.images}
    values |= {**reading.values, "settings": reading.settings, "date": reading.date, "reading": count}
    console.say(table({name: value for name, value in values.items() if name != "settings"}))
    note_readings(count, console)
    return values


def note_readings(count: int, console: Console) -> None:
    """Say on stderr where test images were read more than once for a run."""
    if count > 1:
        console.note(
            f"The test images were read {count} times for this run: what was chosen by an earlier reading makes this one look too good."
        )


def table(values: dict[str, Any]) -> str:
    """A row for each figure: its name in the field's words, value ± standard error, unit; then what was measured."""
    rows = []
    for name, value in values.items():
        if name == "k" or (name.endswith("_se") and name.removesuffix("_se") in values):
            continue
        error = values.get(f"{name}_se")
        unit = UNITS.get(name, "") if isinstance(value, float) else ""
        percent = 100 if unit == "%" else 1
        if name == "decode":
            value = DECODES.get(str(value), "x itself")
        if isinstance(value, dict):
            value = ", ".join(f"{key} {one}" for key, one in value.items())
        if isinstance(value, list):
            value = " to ".join(f"{one:.4f}" for one in value)
        number = f"{percent * value:.{2 if unit == '%' else 4}f}" if isinstance(value, float) else value
        beside = f" ± {percent * error:.{2 if unit == '%' else 4}f}" if error is not None and math.isfinite(error) else ""
        rows.append((_title(name, values), f"{number}{beside} {unit}".rstrip()))
    width = max(19, *(len(title) for title, _ in rows))
    return "\n".join(f"{title:<{width}} {value}" for title, value in rows)


def _title(name: str, values: dict[str, Any]) -> str:
    """“−log p(x), IWAE, K = 128” of the importance-weighted bound and “−log p(x), ELBO” of K = 1."""
    if name in ("elbo_nats", "elbo_bits_per_dim"):
        return "−log p(x), ELBO"
    if name in ("nats", "bits_per_dim"):
        return f"−log p(x), IWAE, K = {values['k']}" if "k" in values else "−log p(x)"
    return TITLES.get(name, name.replace("_", " "))
