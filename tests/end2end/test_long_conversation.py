"""The window and the demo model when thinking is limited and the context is full."""

from collections.abc import Callable
from dataclasses import replace

from app.chat.conversation import Answer, Memory, Question
from app.engine.request import LEADING_OUT
from app.ui.memory_mark import Veil
from app.ui.state import Ready
from tests.end2end.person import Person

CONTEXT = 520


def has_context(person: Person) -> bool:
    state = person.session.state
    return isinstance(state, Ready) and state.model.context == CONTEXT


def memories(person: Person) -> list[Memory | None]:
    return [node.memory for node in person.session.current.path() if isinstance(node, Question)]


def answers(person: Person) -> list[Answer]:
    return [node for node in person.session.current.path() if isinstance(node, Answer)]


def test_thinking_is_led_to_its_end_and_a_full_context_is_summarized(
    person: Person, opens_again: Callable[[], None]
) -> None:
    person.waits_for_the_model()
    person.window.preferences.change(context=CONTEXT)
    person.waits("a small context", lambda: has_context(person))

    session = person.session
    session.choose(replace(session.current.choices, thinking_budget=4))
    person.types("What is 37 + 48?")
    limited = person.reads()
    assert limited.thinking.endswith(LEADING_OUT)
    assert limited.usage is not None
    assert 4 < limited.usage.thinking < 40
    session.choose(replace(session.current.choices, thinking_budget=0))
    person.types("What is 37 + 48?")
    whole = person.reads()
    assert LEADING_OUT not in whole.thinking
    assert "85" in whole.text
    assert whole.usage is not None
    assert whole.usage.reused >= limited.usage.prompt - 4  # what was put into the thinking is no part of what follows

    for sum_asked in ("What is 12 + 7?", "What is 25 + 36?"):
        person.types(sum_asked)
        person.reads()
    person.types("Tell me a long story.")
    full = person.reads()
    assert full.ending == "context"
    begun = full.text
    person.waits("an offer", lambda: "can go on without its oldest turns" in person.notice())
    person.photographs("context-full")
    person.window.notice.other.click()
    person.waits("a summary", lambda: any(memories(person)))
    memory = memories(person)[-1]
    assert memory is not None
    assert memory.summary
    gone_on = person.reads()
    assert gone_on is full
    assert gone_on.text.startswith(begun)
    assert len(gone_on.text) > len(begun) + 100
    assert len(answers(person)) == 5
    person.photographs("context-summarized")

    opens_again()
    person.waits_for_the_model()
    person.session.open(person.face.library.summaries[0].key)
    assert memories(person)[-1] == memory
    transcript, first = person.window.transcript, person.session.current.path()[0].key
    transcript.reveal(first)
    view = transcript.view_of(first)
    assert view is not None
    assert view.findChild(Veil) is not None
