"""The parser of a verb's words: kinds of numbers, and the options that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from engine.cli.console import write_stdout
from engine.cli.errors import Usage

SPLITS = {"train": "training", "valid": "validation", "test": "test"}  # in words


class Parser(argparse.ArgumentParser):
    """Raises `Usage` where argparse would end the program."""

    def error(self, message: str) -> NoReturn:
        """Raises: Usage: always, with a sentence and the way to the help."""
        raise Usage(f"{message[:1].upper()}{message[1:]}. Try “{self.prog} --help”.")

    def print_help(self, file: Any = None) -> None:
        """The help on stdout, also where its encoding lacks a sign, or where nobody reads."""
        write_stdout(self.format_help().rstrip("\n"))


class VerbParsers:
    """The parsers of the verbs; each verb's file adds its own."""

    def __init__(self) -> None:
        self.parser = Parser(prog="priorama", description="Explore representation learning and generative modelling.")
        self._verbs = self.parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)

    @property
    def names(self) -> tuple[str, ...]:
        """Those that were added."""
        return tuple(self._verbs.choices)

    def add(self, name: str, act: Callable[..., Any], help: str, **options: Any) -> Parser:
        """A verb: `act(options, console)` returns its JSON object, or its exit code."""
        sub = self._verbs.add_parser(name, help=help, description=help, **options)
        sub.set_defaults(act=act)
        sub.add_argument("--json", action="store_true", help='print one JSON object as the last line; of an error {"error": the sentence}')
        sub.add_argument("--quiet", action="store_true", help="no progress on stderr")
        return sub

    def add_of_run(self, name: str, act: Callable[..., Any], help: str) -> Parser:
        """A verb that looks at a checkpoint of a run."""
        sub = self.add(name, act, help)
        sub.add_argument("run", metavar="RUN", help="a run's name or folder")
        sub.add_argument("--runs", metavar="DIR", help="where runs are kept")
        sub.add_argument("--seed", type=seed, default=0, help="seed of all randomness")
        sub.add_argument(
            "--step",
            type=step,
            metavar="N|best|newest",
            help="which checkpoint; when left out the best of a run that is done, else the newest",
        )
        sub.add_argument("--device", default="auto", type=device, help="auto or cpu: checkpoints are looked at on the CPU")
        return sub


def positive_int(text: str) -> int:
    """A whole number above zero."""
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"“{text}” is not a whole number above zero")
    return int(text)


def step(text: str) -> int | str:
    """A checkpoint's step, “best” or “newest”."""
    if text in ("best", "newest"):
        return text
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"“{text}” is not a step, “best” or “newest”")
    return int(text)


def device(text: str) -> str:
    """A device for looking at checkpoints, so that a figure does not depend on the machine: there is only the CPU."""
    if text not in ("auto", "cpu"):
        raise argparse.ArgumentTypeError(f"“{text}” is no device for this verb, which looks at checkpoints on the CPU; choose auto or cpu")
    return text


def seed(text: str) -> int:
    """A seed: a whole number from 0 to 2⁶³ − 1."""
    if not (text.isascii() and text.isdigit()) or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"“{text}” is not a whole number from 0 to 2⁶³ − 1")
    return int(text)


def positive(text: str) -> float:
    """A finite number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"“{text}” is not a number above zero")
    return value


def share(text: str) -> float:
    """An argument that is a share: above 0, at most 1."""
    value = positive(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"“{text}” is a share above 1")
    return value


def shares(text: str) -> tuple[float, ...]:
    """Numbers above 0 and up to 1, with commas between."""
    found = tuple(positive(part) for part in text.split(","))
    if max(found) > 1:
        raise argparse.ArgumentTypeError(f"“{text}” holds a share above 1")
    return found


def pairs(given: list[str]) -> dict[str, str]:
    """The settings of several `--set KEY=VALUE`; of one named twice the last value. Raises: Usage."""
    settings = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals:
            raise Usage(f"“--set {pair}” has no “=”; write --set key=value.")
        settings[key] = value
    return settings
