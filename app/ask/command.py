"""`parley ask` from its options to its exit status.

Knows: what is printed where, and what each outcome is called for a shell. Does not know: messages, programs, terminals.
"""

import json
import os
import sys
import traceback
from pathlib import Path

from app import paths
from app.ask.answering import Answering
from app.ask.arguments import AskOptions
from app.ask.question import batch_lines, question_in, question_of
from app.ask.refusal import FAILURE, AskError
from app.ask.screen import Screen

_INTERRUPTED = 130
"""What shells call a program that was ended by Ctrl+C."""


def ask(options: AskOptions) -> int:
    """Answer what the command line asks; the exit status. Errors become one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    # JSON is UTF-8 whatever the terminal's encoding is; on Windows a pipe's would turn most letters to question marks.
    if (options.json or options.batch is not None) and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8")
    screen = Screen(silent=options.json or options.batch is not None)
    try:
        return _batch(options, options.batch, screen) if options.batch else _one(options, screen)
    except AskError as error:
        screen.clear()
        return _fail(str(error), error.status)
    except KeyboardInterrupt:
        screen.clear()
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read the answer has gone, as `head` does. What Python would still flush at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except Exception as error:  # noqa: BLE001 - this program's one broad except
        _log(traceback.format_exc())
        return _fail(f"Something went wrong inside Parley ({type(error).__name__}); see {paths.log_dir()}.", FAILURE)


def _one(options: AskOptions, screen: Screen) -> int:
    question = question_of(options)
    with _answering(options, screen) as answering:
        answered = answering.answer(question, options.temperature)
    screen.end()
    if options.json:
        # Flushed here, where a reader that has gone is noticed, and not by Python at its end with a complaint.
        print(json.dumps(answered.plain(), ensure_ascii=False), flush=True)  # noqa: T201 - what was asked for
    elif answered.finished.reason == "context":
        sys.stderr.write("The answer ends here because the context is full; ask with a larger --context.\n")
    return 0


def _batch(options: AskOptions, path: Path, screen: Screen) -> int:
    lines = batch_lines(path)
    with _answering(options, screen) as answering:
        if lines:
            answering.open()  # a model that cannot be loaded is the command's mistake and not that of every line
        for line in lines:
            try:
                result = answering.answer(question_in(line, options), options.temperature).plain()
            except AskError as error:
                result = {"error": str(error)}
            screen.clear()
            print(json.dumps(result, ensure_ascii=False), flush=True)  # noqa: T201 - what was asked for
    return 0


def _answering(options: AskOptions, screen: Screen) -> Answering:
    return Answering(_model(options), options.context, screen.hear, yarn=options.yarn, kv_bits=options.kv_bits)


def _model(options: AskOptions) -> Path:
    model = paths.demo_model_dir() if options.model is None else options.model
    if not model.is_dir():
        raise AskError(f"There is no model folder {model}; name one with --model.")
    return model


def _fail(sentence: str, status: int) -> int:
    sys.stderr.write(sentence + "\n")
    return status


def _log(text: str) -> None:
    try:
        paths.log_dir().mkdir(parents=True, exist_ok=True)
        (paths.log_dir() / "ask.log").write_text(text, encoding="utf-8")
    except OSError:
        return
