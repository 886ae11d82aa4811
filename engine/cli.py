"""The headless verbs: a thin layer of words over generators. One JSON object at the end with `--json`; errors are one sentence.

Exit codes: 0 good, 1 failed, 2 wrong usage. Torch is imported only by the verbs that compute.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn


class Failed(Exception):
    """One sentence for stderr; exit code 1."""


class Usage(Exception):
    """One sentence for stderr; exit code 2."""


class Parser(argparse.ArgumentParser):
    """Raises `Usage` where argparse would end the program."""

    def error(self, message: str) -> NoReturn:
        """Raises: Usage: always, with a sentence and the way to the help."""
        raise Usage(f"{message[:1].upper()}{message[1:]}. Try “{self.prog} --help”.")


def main(arguments: list[str]) -> int:
    """Run one verb and return its exit code."""
    try:
        options = _parser().parse_args(arguments)
        result = options.act(options)
    except Usage as error:
        return _complain(error, 2)
    except KeyboardInterrupt:
        return _complain("Interrupted.", 1)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        if os.environ.get("PRIORAMA_TRACEBACK"):
            raise
        ours = type(error).__module__.split(".")[0] in ("engine", "benchmarks")
        if type(error).__name__ in ("BadSetting", "UnknownMethod", "NoDevice", "UnknownBenchmark"):
            return _complain(error, 2)
        unexpected = f"{type(error).__name__}: {error} (set PRIORAMA_TRACEBACK=1 and run it again to see where)."
        return _complain(error if ours else unexpected, 1)
    if isinstance(result, int):
        return result
    if options.json:
        print(json.dumps(result, ensure_ascii=False), flush=True)
    return 0


def _complain(error: object, code: int) -> int:
    print(" ".join(str(error).split()), file=sys.stderr, flush=True)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="priorama", description="Explore representation learning and generative modelling.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)

    def verb(name: str, act: Callable[[argparse.Namespace], Any], help: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=help, description=help)
        sub.set_defaults(act=act)
        sub.add_argument("--json", action="store_true", help="print one JSON object as the last line")
        return sub

    def of_a_run(name: str, act: Callable[[argparse.Namespace], Any], help: str) -> argparse.ArgumentParser:
        sub = verb(name, act, help)
        sub.add_argument("run", metavar="RUN", help="a run's name or folder")
        sub.add_argument("--runs", metavar="DIR", help="where runs are kept")
        sub.add_argument("--seed", type=_seed, default=0, help="seed of all randomness")
        return sub

    verb("list", _list, "List methods, data sets and detectors.")

    train = verb("train", _train, "Train a method on a data set.")
    train.add_argument("method", metavar="METHOD")
    train.add_argument("--data", required=True, metavar="D", help="a built-in name or a path")
    train.add_argument("--steps", type=_positive_int, help="optimizer steps to reach in total, also with --resume")
    train.add_argument("--minutes", type=_positive, help="minutes of training in total")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the method")
    train.add_argument("--seed", type=_seed, help="seed of weights, order and noise; 0 when left out")
    train.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    train.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"), help="number format of the networks")
    train.add_argument("--runs", metavar="DIR", help="where runs are kept")
    train.add_argument("--name", help="name of the run's folder")
    train.add_argument("--resume", action="store_true", help="go on with the run of that name")

    score = of_a_run("eval", _eval, "Score a run on its test split.")
    score.add_argument("--step", type=int, help="which checkpoint; the newest when left out")
    score.add_argument("--limit", type=_positive_int, help="how many test images; of a text, symbols")
    score.add_argument("--k", type=_positive_int, default=128, help="importance samples per image for bounds")

    score.add_argument(
        "--features", metavar="RUN", help="also the Fréchet and the kernel distance of samples, in the features of this run's encoder"
    )
    score.add_argument("--samples", type=_positive_int, default=1000, metavar="N", help="how many samples those are of")

    sample = of_a_run("sample", _sample, "Draw images or write texts from a run's model.")
    sample.add_argument("--n", type=_positive_int, default=16, help="how many")
    sample.add_argument("--out", required=True, metavar="F", help="the file to write: .png of images, .txt of texts")
    sample.add_argument("--prompt", default="", metavar="TEXT", help="what each text begins with")
    sample.add_argument("--step", type=int, help="which checkpoint; the newest when left out")
    sample.add_argument("--class", dest="label", type=int, metavar="Y", help="class to draw, for conditional models")
    sample.add_argument("--temperature", type=_positive, default=1.0)

    likely = of_a_run("score", _likely, "Say how likely images are, by every score the run has.")
    likely.add_argument("files", nargs="+", metavar="FILE", help="images, or folders of them")
    likely.add_argument("--csv", metavar="F.csv", help="also write the table there")
    strange = of_a_run("ood", _ood, "Measure how well every score tells one data set from others.")
    strange.add_argument("--in", dest="known", metavar="D", help="data to be known; the run's own when left out")
    strange.add_argument("--out", required=True, action="append", nargs="+", metavar="D", help="data to be told from it")
    strange.add_argument("--limit", type=_positive_int, default=2000, help="test images on each side")
    for sub in (likely, strange):
        sub.add_argument("--step", type=int, help="which checkpoint; the newest when left out")
        sub.add_argument("--held-out", type=_positive_int, default=500, metavar="N", help="held-out images that p-values compare with")
        sub.add_argument("--k", type=_positive_int, default=64, help="importance samples per image for bounds")
        sub.add_argument("--background", action="store_true", help="build the background models of the likelihood ratios first, if missing")
        sub.add_argument(
            "--background-steps", type=_positive_int, metavar="N", help="their training steps; else the run's own, of the local one 2,000"
        )
        sub.add_argument("--background-minutes", type=_positive, metavar="M", help="at most so many minutes of training for each")

    worth = of_a_run("probe", _probe, "Measure what a run's features are worth beside a random encoder and raw pixels.")
    worth.add_argument("--data", default="", metavar="D", help="data with classes; the run's own when left out")
    worth.add_argument("--limit", type=_positive_int, default=10_000, metavar="N", help="training images, and at most as many test images")
    worth.add_argument("--step", type=int, help="which checkpoint; the newest when left out")
    worth.add_argument("--split", default="test", choices=("test", "valid"), help="whose images are asked about")
    worth.add_argument("--blocks", action="store_true", help="also after every block of the encoder")
    worth.add_argument("--labels", type=_shares, default=(), metavar="S,S", help="also with these shares of the labels, as in 0.01,0.1,1")

    drawn = of_a_run("embed", _embed, "Draw a map of images as a run's encoder sees them, and write it as a table.")
    drawn.add_argument("--data", default="", metavar="D", help="data whose images are mapped; the run's own when left out")
    drawn.add_argument("--out", required=True, metavar="F.csv", help="the table to write: index, label, x, y")
    drawn.add_argument("--map", default="umap", choices=("umap", "pca"), help="how features become places")
    drawn.add_argument("--limit", type=_positive_int, default=2000, metavar="N", help="how many images, evenly spread over the split")
    drawn.add_argument("--step", type=int, help="which checkpoint; the newest when left out")
    drawn.add_argument("--split", default="test", choices=("train", "valid", "test"), help="whose images")

    bench = verb("bench", _bench, "Measure the rows of the README's speed table.")
    bench.add_argument("names", nargs="*", metavar="NAME")
    bench.add_argument("--save", action="store_true", help="keep the figures under benchmarks/results")
    test = verb("test", _test, "Run the tests.")
    test.add_argument("rest", nargs=argparse.REMAINDER)
    return parser


def _positive_int(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"“{text}” is not a whole number above zero")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdigit() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"“{text}” is not a whole number from 0 to 2⁶³ − 1")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"“{text}” is not a number above zero")
    return value


def _shares(text: str) -> tuple[float, ...]:
    shares = tuple(_positive(part) for part in text.split(","))
    if max(shares) > 1:
        raise argparse.ArgumentTypeError(f"“{text}” holds a share above 1")
    return shares


def _root(options: argparse.Namespace) -> Path:
    from engine.storage.run_folders import default_root

    return Path(options.runs).expanduser() if options.runs else default_root()


def _run_path(options: argparse.Namespace) -> Path:
    """A run by folder or by name."""
    given = Path(options.run).expanduser()
    for path in (given, _root(options) / options.run):
        if (path / "manifest.json").exists() or (path / "checkpoints").is_dir():
            return path
    raise Failed(f"There is no run “{options.run}” here or in {_root(options)}; name its folder, or use --runs.")


def _list(options: argparse.Namespace) -> dict[str, Any]:
    from engine.data import built_in
    from engine.detectors.base import all_detectors, list_info
    from engine.method import info
    from engine.methods import all_methods

    detectors = [list_info(kind) for kind in all_detectors().values()]
    methods = [info(method) for method in all_methods().values()]
    keys = ("name", "family", "density", "sampling", "conditional", "capabilities", "source")
    rows = [{key: getattr(method, key) for key in keys} for method in methods]
    data = [{"name": d.data, "kind": d.kind, "summary": d.summary} for d in built_in()]
    if not options.json:
        print("Methods")
        for method in methods:
            print(f"  {method.name:<20}{method.title} · {method.family} · {method.source}")
        print("Data (or a path to images, arrays or text)")
        for row in data:
            print(f"  {row['name']:<20}{row['summary']}")
        print("Detectors")
        for detector in detectors:
            print(f"  {detector.name:<20}{detector.title} · {detector.density} · {detector.source}")
    keys = ("name", "title", "density", "unit", "source", "help")
    return {"methods": rows, "data": data, "detectors": [{key: getattr(detector, key) for key in keys} for detector in detectors]}


def _train(options: argparse.Namespace) -> dict[str, Any]:
    settings = {}
    for pair in options.set:
        key, equals, value = pair.partition("=")
        if not equals:
            raise Usage(f"“--set {pair}” has no “=”; write --set key=value.")
        settings[key] = value
    if options.resume and not options.name:
        raise Usage("--resume needs --name, the name of the run to go on with.")
    from engine.config import make_config
    from engine.methods import method_named
    from engine.training.loop import train
    from engine.training.plan import Plan, ResumePlan

    settings = {name: value for name, value in vars(make_config(method_named(options.method).Config, settings)).items() if name in settings}
    plan = Plan(
        method=options.method,
        data=options.data,
        config=settings,
        seed=options.seed or 0,
        steps=options.steps,
        minutes=options.minutes,
        device=options.device,
        precision=options.precision,
        name=options.name,
    )
    root = _root(options)
    if options.resume:
        _same_run(root / options.name, plan, options.seed)
    going_on = ResumePlan(root / options.name, plan.steps, plan.minutes, plan.device) if options.resume else None
    outcome, latest = _drive(train(going_on or plan, root), options.json)
    return {
        "run": outcome.run,
        "step": outcome.step,
        "images_per_second": round(outcome.images_per_second, 1),
        "metrics": latest,
        "status": outcome.status,
    }


def _same_run(path: Path, plan: Any, seed: int | None) -> None:
    """A run goes on as it was begun; what was asked for must not differ. Raises: Usage, BadRun."""
    from engine.data import lasting
    from engine.storage.run_reader import Run

    manifest = Run.open(path).manifest
    if manifest is None:
        return  # train says what is wrong with it
    differing = [f"{name} {manifest.config.get(name)}" for name, value in plan.config.items() if manifest.config.get(name) != value]
    if plan.method != manifest.method:
        differing.append(f"method {manifest.method}")
    if lasting(plan.data) != manifest.data:
        differing.append(f"data {manifest.data}")
    if seed is not None and seed != manifest.seed:
        differing.append(f"seed {manifest.seed}")
    if differing:
        raise Usage(f"{path.name} was begun with {', '.join(differing)} and goes on as it was; name the same, or start a new run.")


def _drive(events: Any, quiet: bool) -> tuple[Any, dict[str, float]]:
    """Advance a training to its end. Ctrl-C stops it and keeps what there is. Returns its outcome and the last numbers."""
    import threading
    import time

    from engine import messages as m

    verb: str | None = None
    latest: dict[str, float] = {}
    reported_at = 0.0

    def stop(_signal: int, _frame: object) -> None:
        nonlocal verb
        verb = "stop"

    before: dict[signal.Signals, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, stop)
        event = next(events)
        while True:
            match event:
                case m.Metrics():
                    latest |= {name: float(values[-1]) for name, (_, values) in event.points.items()}
                case m.Stalled():
                    print(event.message, file=sys.stderr, flush=True)
                    time.sleep(event.retry_seconds)
                case m.Notice():
                    print(event.text, file=sys.stderr, flush=True)
                case m.Progress() if not quiet and event.unit == "step" and time.monotonic() - reported_at > 2:
                    reported_at = time.monotonic()
                    left = "" if event.seconds_left is None else f" · {event.seconds_left:.0f} s left"
                    loss = f" · loss {latest['loss']:.4g}" if "loss" in latest else ""
                    print(f"step {event.done:,} · {event.rate:,.0f} images/s{loss}{left}", flush=True)
            event = events.send(verb)
    except StopIteration as end:
        if not quiet:
            print(f"{end.value.message} {end.value.run}")
        return end.value, latest
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _eval(options: argparse.Namespace) -> dict[str, Any]:
    from engine.evaluation.evaluate import evaluate
    from engine.queries.session import CannotAnswer, Model
    from engine.storage.run_reader import Run

    path = _run_path(options)
    encoder = _run_path(argparse.Namespace(**{**vars(options), "run": options.features})) if options.features else None
    try:
        result = _exhaust(evaluate(path, options.step, options.limit, options.k, options.seed))
        values: dict[str, Any] = {"step": result.step, **({"images": result.images} if result.images else {}), **result.values}
    except CannotAnswer:
        if encoder is None:
            raise
        values = {"step": Model(Run.open(path), options.step).step}  # samples can be compared where nothing else can be scored
    if encoder is not None:
        from engine.evaluation.fid import fidelity

        values |= _exhaust(fidelity(path, encoder, options.samples, values["step"], options.seed))
    if not options.json:
        for name, value in values.items():
            print(f"{name.replace('_', ' '):<20}{value:.4f}" if isinstance(value, float) else f"{name.replace('_', ' '):<20}{value}")
    return values


def _exhaust(job: Any) -> Any:
    """Run a job to its end and return what it returns."""
    try:
        while True:
            next(job)
    except StopIteration as end:
        return end.value


def _sample(options: argparse.Namespace) -> dict[str, Any]:
    from engine.evaluation.sample_grid import sample_file

    out = Path(options.out).expanduser()
    o = options
    step, what = sample_file(_run_path(o), out, o.n, o.seed, o.temperature, o.label, o.step, o.prompt)
    if not options.json:
        print(f"{options.n} {what} from step {step:,} in {out}")
    return {"file": str(out), "n": options.n, "step": step, "seed": options.seed, "temperature": options.temperature}


def _likely(options: argparse.Namespace) -> dict[str, Any]:
    from engine.evaluation.score_report import score_files, table, write_csv

    path = _with_background(options)
    result = score_files(path, options.step, options.files, options.held_out, options.k)
    if options.csv:
        write_csv(Path(options.csv).expanduser(), result)
    if not options.json:
        print(table(result))
    return result


def _ood(options: argparse.Namespace) -> dict[str, Any]:
    from engine.evaluation.score_report import compare_data, comparison

    path = _with_background(options)
    others = [name for names in options.out for name in names]
    result = compare_data(path, options.step, options.known, others, options.limit, options.held_out, options.k)
    if not options.json:
        print(comparison(result))
    return result


def _with_background(options: argparse.Namespace) -> Path:
    """The run's folder; with --background its background models are built first where there are none. Raises: Failed."""
    path = _run_path(options)
    if options.background or options.background_steps or options.background_minutes:
        from engine.detectors.base import background_kinds
        from engine.queries.session import Model
        from engine.storage.run_reader import Run
        from engine.training.background_models import build_background, find_background

        for kind in background_kinds(Model(Run.open(path), None).method):
            found, why, buildable = find_background(path, kind)
            if found is not None:
                continue
            if not buildable:
                raise Failed(why)
            ends = options.background_steps, options.background_minutes
            outcome, _ = _drive(build_background(path, *ends, kind=kind), options.json)
            if outcome.status != "done":
                raise Failed(f"The {kind} background model is not ready: {outcome.message}")
    return path


def _probe(options: argparse.Namespace) -> dict[str, Any]:
    from engine.queries.probing import report

    o = options
    values = _exhaust(report(_run_path(o), o.data, o.step, o.limit, o.split, o.blocks, o.labels))
    if not o.json:
        for name, value in values.items():
            rows = [(f"{name}, {key}", figures) for key, figures in value.items()] if isinstance(value, dict) else [(name, {"": value})]
            for words, figures in rows:
                parts = (f"{key} {n:.4g}" if isinstance(n, float) else f"{key} {n}" for key, n in figures.items())
                print(f"{words:<32}{'   '.join(one.strip() for one in parts)}".replace("_", " "))
    return values


def _embed(options: argparse.Namespace) -> dict[str, Any]:
    from engine.evaluation.embedding_table import map_file

    o = options
    result = map_file(_run_path(o), Path(o.out).expanduser(), o.data, o.map, o.seed, o.limit, o.step, o.split)
    if not o.json:
        trust = "" if result["trustworthiness"] is None else f" · trustworthiness {result['trustworthiness']:.3f}"
        knn = "" if result["knn"] is None else f" · kNN on the map {result['knn']:.1%}"
        print(f"{result['n']:,} images at step {result['step']:,} in {result['file']}{trust}{knn}")
    return result


def _bench(options: argparse.Namespace) -> dict[str, Any]:
    try:
        import benchmarks
    except ImportError:
        raise Failed("The benchmarks are not installed with the package; run them from a clone of the project.") from None
    rows = benchmarks.run(options.names, save=options.save, tell=None if options.json else print)
    return {"rows": rows}


def _test(options: argparse.Namespace) -> int:
    project = Path(__file__).resolve().parent.parent
    if not (project / "tests").is_dir():
        raise Failed("The tests are not installed with the package; run them from a clone of the project.")
    return subprocess.call([sys.executable, "-m", "pytest", *options.rest], cwd=project)
