"""What the window says about its state: which model runs where, what is waited for, how fast it goes.

Knows the states and the words for them. Does not know any widget.
"""

from contextlib import suppress
from datetime import date, datetime

from app.chat.conversation import Answer
from app.settings import Settings
from app.ui.empty_state import loading_words
from app.ui.state import Answering, Dead, LoadingModel, NoModel, Ready, Starting, State


def speed(answer: Answer, now: float) -> float:
    """Tokens a second so far, or in all."""
    if answer.timings is not None:
        return answer.timings.decode_tok_s
    made = answer.thinking_tokens + answer.answer_tokens - 1
    if answer.over or answer.first_token_at is None or made < 1:
        return 0.0
    return made / max(0.2, now - answer.first_token_at)


def waits_for(state: State, now: float) -> str:
    """Why an answer has not begun."""
    match state:
        case LoadingModel():
            return f"Waits for the model · {loading_words(state, now)}"
        case Answering():
            return "Waits its turn: another conversation is being answered"
        case Dead():
            return "Waits for the engine to be restarted"
        case NoModel():
            return "Waits for a model to be loaded"
        case Starting():
            return "Waits for the engine to start"
        case Ready():
            return ""


def remarks(state: State) -> str:
    """What the engine remarked on the loaded model, such as why it is slow here."""
    return " ".join(state.model.notes) if isinstance(state, Ready | Answering) else ""


def model_lines(state: State, settings: Settings, now: float) -> tuple[str, str, str]:
    """Name, precision, and device or what is happening."""
    match state:
        case Ready() | Answering():
            model = state.model
            doing = "ready" if isinstance(state, Ready) else "answering"
            return "Demo model" if model.demo else model.name, model.precision, f"{model.device} · {doing}"
        case LoadingModel():
            name = settings.model_dir().name if settings.model else "Demo model"
            return name, "loading", loading_words(state, now)
        case NoModel():
            return "No model", "", ""
        case Starting():
            return "Parley", "", "engine starting"
        case Dead():
            return "Engine stopped", "", "restart it to go on"


def moment(seconds: float) -> datetime:
    """A time of day; one that makes no sense is the oldest that there is."""
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(seconds)
    return datetime.min


def today() -> date:
    """The day that it is here."""
    return datetime.now().date()
