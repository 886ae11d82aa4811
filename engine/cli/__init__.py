"""The headless verbs: a thin layer of words over generators, one file for each. With `--json` the last line is one JSON object.

Exit codes: 0 good, 1 failed or stopped, 2 wrong usage; an error is one sentence on stderr. Torch is imported only by verbs that compute.
"""

from __future__ import annotations

import errno
import os

from engine.cli import bundle, chains, curate, data, embed, evaluate, listing, misclassified, probe, project, sample, scores, train
from engine.cli.console import Console, write_stderr
from engine.cli.errors import Failed, Usage
from engine.cli.parser import Parser, VerbParsers
from engine.cli.signals import StopSignals
from engine.cli.text import visible

VERBS = (listing, data, curate, train, evaluate, misclassified, sample, scores, probe, embed, chains, bundle, project)
# errors of the engine that are wrong usage
WRONG_WORDS = ("BadChains", "BadSampleSetting", "BadSetting", "UnknownMethod", "NoDevice", "UnknownBenchmark")

__all__ = ["Failed", "Parser", "Usage", "main"]


def main(arguments: list[str]) -> int:
    """Run one verb and return its exit code."""
    with StopSignals() as signals:
        try:
            return _run(arguments, signals)
        except SystemExit as end:  # after --help
            return int(end.code or 0)
        except Usage as error:
            return _complain(error, 2)
        except KeyboardInterrupt as error:
            return _complain(str(error) or "Interrupted.", 1)
        except BrokenPipeError:
            return 1  # whoever read has gone
        except Exception as error:
            if os.environ.get("PRIORAMA_TRACEBACK"):
                raise
            return _complain(_sentence(error), 2 if type(error).__name__ in WRONG_WORDS else 1)


def _run(arguments: list[str], signals: StopSignals) -> int:
    verbs = VerbParsers()
    for verb in VERBS:
        verb.add(verbs)
    options = verbs.parser.parse_args(arguments)
    console = Console(options.json, options.quiet, signals)
    try:
        result = options.act(options, console)
    finally:
        console.clear()
    if isinstance(result, int):
        return result
    console.result(result)
    for ending in ("stopped", "failed"):
        if ending in result:
            return _complain(result[ending], 1)
    return 0


def _sentence(error: Exception) -> str:
    """What an error says to a person: the engine's own are sentences; of others the kind is named."""
    if type(error).__module__.split(".")[0] in ("engine", "benchmarks"):
        return str(error)
    if isinstance(error, MemoryError) or ("memory" in str(error).lower() and isinstance(error, RuntimeError)):
        return "This machine has not enough memory for it: look at fewer images with --limit, or close other programs."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full{_where(error)}: make room, then try again."
    if isinstance(error, OSError) and error.strerror:
        return f"The system refused{_where(error)} ({error.strerror}): check the path and its permissions."
    return f"{type(error).__name__}: {error} (set PRIORAMA_TRACEBACK=1 and run it again to see where)."


def _where(error: OSError) -> str:
    return f" at “{os.fsdecode(error.filename)}”" if isinstance(error.filename, (str, bytes)) else ""


def _complain(error: object, code: int) -> int:
    write_stderr(visible(" ".join(str(error).split())) + "\n")
    return code
