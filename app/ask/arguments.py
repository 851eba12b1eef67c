"""The command line of `parley`: what may be written and what it means. Imports nothing but Python; starts nothing."""

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Never

from app import APP_NAME, __version__
from app.bench.arguments import BenchOptions, add_bench, bench_options
from app.download.arguments import (
    DownloadOptions,
    VerifyOptions,
    add_download,
    add_verify,
    download_options,
    verify_options,
)
from app.inspect.arguments import KV_BITS, YARN, InspectOptions, add_inspect, inspect_options


@dataclass(frozen=True, slots=True)
class AskOptions:
    """What was asked on the command line. Paths are as they were typed; `text` is None with `--batch`."""

    text: str | None
    images: tuple[str, ...]
    videos: tuple[str, ...]
    system: str | None
    model: Path | None
    direct: bool
    think_budget: int | None
    history: Path | None
    max_tokens: int | None
    temperature: float | None
    seed: int | None
    context: int | None
    yarn: Literal[1, 2, 4]
    kv_bits: Literal[16, 8]
    json: bool
    batch: Path | None


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """The window is wanted, with these files attached to its draft. Paths are as they were typed."""

    files: tuple[str, ...]


class _Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong."""

    def error(self, message: str) -> Never:
        sys.stderr.write(f"{self.prog}: {message}; see `{self.prog} --help`.\n")
        raise SystemExit(2)


Options = AskOptions | BenchOptions | DownloadOptions | InspectOptions | OpenOptions | VerifyOptions


def read_arguments(arguments: list[str]) -> Options | None:
    """The options of a command, or None when the window is wanted. Exits for `--help`, `--version` and mistakes."""
    parser = _Parser(prog="parley", description=f"{APP_NAME}: a private chat with a large model on your own GPU.")
    parser.add_argument("--version", action="version", version=f"{APP_NAME} {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    _add_ask(commands.add_parser("ask", help="answer in the terminal, without a window"))
    add_bench(commands.add_parser("bench", help="measure how fast a model loads and answers here"))
    add_inspect(commands.add_parser("inspect", help="say what a model's folder holds and whether it fits here"))
    add_download(commands.add_parser("download", help="fetch a model, or go on fetching it"))
    add_verify(commands.add_parser("verify", help="say whether a downloaded model is complete and right"))
    opened = commands.add_parser("open", help="open the window with pictures or videos attached")
    opened.add_argument("files", nargs="*", metavar="FILE", help="what to attach to the next question")
    found = parser.parse_args(arguments)
    if found.command in (None, "open"):
        return OpenOptions(tuple(found.files)) if found.command else None
    if found.command == "inspect":
        return inspect_options(found)
    if found.command == "download":
        return download_options(found)
    if found.command == "verify":
        return verify_options(found)
    if found.command == "bench":
        try:
            return bench_options(found)
        except ValueError as error:
            parser.error(str(error))
    options = AskOptions(
        text=found.text,
        images=tuple(found.image),
        videos=tuple(found.video),
        system=found.system,
        model=found.model,
        direct=found.direct,
        think_budget=found.think_budget,
        history=found.history,
        max_tokens=found.max_tokens,
        temperature=found.temperature,
        seed=found.seed,
        context=found.context,
        yarn=found.yarn,
        kv_bits=found.kv_bits,
        json=found.json,
        batch=found.batch,
    )
    if (options.text is None) == (options.batch is None):
        parser.error("give either a TEXT or --batch FILE")
    if options.batch is not None and (options.images or options.videos or options.history is not None):
        parser.error("with --batch, pictures, videos and history stand in the lines of the file")
    return options


def _add_ask(ask: argparse.ArgumentParser) -> None:
    ask.description = "Ask the model something. Its thinking goes to stderr, its answer to stdout."
    ask.add_argument("text", nargs="?", metavar="TEXT", help="the question")
    ask.add_argument("--image", action="append", default=[], metavar="FILE", help="attach a picture; may be repeated")
    ask.add_argument("--video", action="append", default=[], metavar="FILE", help="attach a video; may be repeated")
    ask.add_argument("--system", metavar="TEXT", help="a system message")
    ask.add_argument("--model", type=Path, metavar="DIR", help="a model's folder; without it the demo model answers")
    ask.add_argument("--direct", action="store_true", help="answer at once, without thinking")
    ask.add_argument(
        "--think-budget", type=_count, metavar="N", help="lead the thinking to its answer after so many tokens"
    )
    ask.add_argument(
        "--history", type=Path, metavar="FILE", help='a JSON list of {"role", "content"} that comes before'
    )
    ask.add_argument("--max-tokens", type=_count, metavar="N", help="end the answer after so many tokens")
    ask.add_argument("--temperature", type=_temperature, metavar="T", help="randomness; 0 always takes the likeliest")
    ask.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same answer")
    ask.add_argument("--context", type=_count, metavar="N", help="tokens of context to make room for")
    ask.add_argument("--yarn", type=int, choices=YARN, default=1, help="stretch positions, for very long contexts only")
    ask.add_argument("--kv-bits", type=int, choices=KV_BITS, default=16, help="8: twice the context in the same memory")
    ask.add_argument("--json", action="store_true", help="print one JSON object at the end")
    ask.add_argument("--batch", type=Path, metavar="FILE", help="answer every line of a file, a JSON object each")


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 2**31:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


_count.__name__ = "number"


def _temperature(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and 0 <= number <= 10):
        raise argparse.ArgumentTypeError(f"{text} is not a temperature between 0 and 10")
    return number


_temperature.__name__ = "temperature"
