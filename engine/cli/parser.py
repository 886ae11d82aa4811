"""The parser of a verb's words: kinds of numbers, and the options that several verbs share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from engine.cli.errors import Usage


class Parser(argparse.ArgumentParser):
    """Raises `Usage` where argparse would end the program."""

    def error(self, message: str) -> NoReturn:
        """Raises: Usage: always, with a sentence and the way to the help."""
        raise Usage(f"{message[:1].upper()}{message[1:]}. Try “{self.prog} --help”.")


class VerbParsers:
    """The parsers of the verbs; each verb's file adds its own."""

    def __init__(self) -> None:
        self.parser = Parser(prog="priorama", description="Explore representation learning and generative modelling.")
        self._verbs = self.parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)

    def add(self, name: str, act: Callable[..., Any], help: str, **options: Any) -> Parser:
        """A verb: `act(options, console)` returns its JSON object, or its exit code."""
        sub = self._verbs.add_parser(name, help=help, description=help, **options)
        sub.set_defaults(act=act)
        sub.add_argument("--json", action="store_true", help="print one JSON object as the last line")
        sub.add_argument("--quiet", action="store_true", help="no progress on stderr")
        return sub

    def add_of_run(self, name: str, act: Callable[..., Any], help: str) -> Parser:
        """A verb that looks at a checkpoint of a run."""
        sub = self.add(name, act, help)
        sub.add_argument("run", metavar="RUN", help="a run's name or folder")
        sub.add_argument("--runs", metavar="DIR", help="where runs are kept")
        sub.add_argument("--seed", type=seed, default=0, help="seed of all randomness")
        sub.add_argument("--step", type=int, help="which checkpoint; the newest when left out")
        return sub


def positive_int(text: str) -> int:
    """A whole number above zero."""
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"“{text}” is not a whole number above zero")
    return int(text)


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


def shares(text: str) -> tuple[float, ...]:
    """Numbers above 0 and up to 1, with commas between."""
    found = tuple(positive(part) for part in text.split(","))
    if max(found) > 1:
        raise argparse.ArgumentTypeError(f"“{text}” holds a share above 1")
    return found
