"""What a conversation is: a tree of questions and answers of which one path is shown.

Knows: how an answer grows from the engine's events, which version of an answer is shown, what the engine is asked.
Does not know: Qt, torch, who draws it, where it is kept. Times are seconds of any steady clock, given by the caller;
only `made_at` is the time of day (seconds since 1970).
"""

import time
import uuid
from dataclasses import dataclass, field, replace
from typing import Literal

from app.protocol import (
    ChatMessage,
    Delta,
    Finished,
    FinishReason,
    Media,
    Part,
    Prefill,
    Text,
    Thumbnail,
    Timings,
    Usage,
)

Stage = Literal["waiting", "reading", "thinking", "answering", "over"]
Ending = FinishReason | Literal["interrupted", "failed", "edited"]
TITLE_LENGTH = 60
UNTITLED = "New conversation"


@dataclass(frozen=True, slots=True)
class Attached:
    """A decoded picture or video of a question; `tokens` and `seen` (width, height) are 0 until the engine counted."""

    media: Media
    previews: tuple[Thumbnail, ...]
    tokens: int = 0
    seen: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Memory:
    """What the model is given in place of all that was before: a summary, or nothing if it is empty."""

    summary: str = ""


@dataclass(slots=True)
class Question:
    """What the person sent. With a `memory` the part of the conversation that the model remembers begins here."""

    key: str
    parent: str | None
    text: str
    attached: tuple[Attached, ...] = ()
    made_at: float = field(default_factory=time.time)
    memory: Memory | None = None

    def message(self) -> ChatMessage:
        """The question as the model reads it: the media first, then the text."""
        return draft_message(self.text, self.attached)


@dataclass(slots=True)
class Answer:
    """What the model answered, or is about to. `key` is also the name of the request that makes it."""

    key: str
    parent: str
    wants_thinking: bool
    thinking: str = ""
    text: str = ""
    stage: Stage = "waiting"
    ending: Ending | None = None
    failure: str = ""
    read: int = 0
    to_read: int = 0
    reused: int = 0
    thinking_tokens: int = 0
    answer_tokens: int = 0
    written_before: int = 0
    """Tokens of the answer that were there when it was gone on with."""
    thinking_budget: int = 0
    """Tokens of thinking after which it is led to its answer; 0 is no limit."""
    hurried: bool = False
    """The person wants it to answer now."""
    asked_at: float = 0.0
    thinking_from: float | None = None
    thinking_until: float | None = None
    first_token_at: float | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    made_at: float = field(default_factory=time.time)

    @property
    def over(self) -> bool:
        """No event will change it any more."""
        return self.stage == "over"

    @property
    def empty(self) -> bool:
        """Nothing of it was shown yet."""
        return not self.thinking and not self.text

    @property
    def can_go_on(self) -> bool:
        """Whether it was cut off in the middle of its text, so that the model could go on writing it."""
        cut_off = ("interrupted", "stopped", "length", "context", "failed")
        return self.over and self.ending in cut_off and bool(self.text.strip())

    def resume(self) -> None:
        """It is to be gone on with where it ends; it waits for its turn."""
        self.stage, self.ending, self.failure = "waiting", None, ""
        self.usage = self.timings = None
        self.read = self.to_read = self.reused = 0
        self.first_token_at = None
        self.hurried = False
        self.written_before = self.answer_tokens

    def asked(self, now: float) -> None:
        """The engine was asked for it."""
        self.stage, self.asked_at = "reading", now

    def prefilled(self, event: Prefill) -> None:
        """The engine has read more of the prompt."""
        self.read, self.to_read, self.reused = event.done, event.total, event.reused

    def grew(self, event: Delta, now: float) -> None:
        """More text arrived on one of the channels."""
        if self.first_token_at is None:
            self.first_token_at = now
        if event.channel == "thinking":
            self.stage = "thinking"
            self.thinking += event.text
            self.thinking_tokens = event.tokens
            if self.thinking_from is None:
                self.thinking_from = now
        else:
            self.stage = "answering"
            self.text += event.text
            self.answer_tokens = self.written_before + event.tokens
            self._end_thinking(now)

    def finished(self, event: Finished, now: float) -> None:
        """The engine says that it is complete, or why it is not."""
        self._end_thinking(now)
        self.stage, self.ending = "over", event.reason
        self.usage, self.timings = event.usage, event.timings
        self.answer_tokens = self.written_before + event.usage.answer
        if not self.written_before:
            self.thinking_tokens = event.usage.thinking

    def interrupted(self, now: float) -> None:
        """The engine died over it; what is there stays."""
        self._end_thinking(now)
        self.stage, self.ending = "over", "interrupted"

    def failed(self, sentence: str, now: float) -> None:
        """The engine could not make it, for the reason in `sentence`."""
        self._end_thinking(now)
        self.stage, self.ending, self.failure = "over", "failed", sentence

    def thought_for(self, now: float) -> float:
        """Seconds of thinking so far, or in all."""
        if self.thinking_from is None:
            return 0.0
        return (now if self.thinking_until is None else self.thinking_until) - self.thinking_from

    def context_used(self) -> int:
        """Tokens of the context window that the conversation takes up to here; 0 while unknown."""
        if self.usage is not None:
            return self.usage.prompt + self.usage.thinking + self.usage.answer
        if self.written_before:  # what was there when it was gone on with is read, and its thinking is not
            return self.to_read + self.answer_tokens - self.written_before
        return self.to_read + self.thinking_tokens + self.answer_tokens

    def _end_thinking(self, now: float) -> None:
        if self.thinking_from is not None and self.thinking_until is None:
            self.thinking_until = now


Node = Question | Answer


@dataclass(frozen=True, slots=True)
class Choices:
    """What the person chose for one conversation; None where nothing was chosen yet. `system` is the text that the
    model is told first, so that a conversation stays what it was when the library of prompts changes; `thinking_budget`
    the tokens of thinking after which it is led to its answer, 0 for no limit; `folder` the name of the folder that it
    lies in, empty for none."""

    thinking: bool | None = None
    preset: str | None = None
    system: str | None = None
    thinking_budget: int | None = None
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """Which nodes a conversation has and how they hang together."""

    nodes: dict[str, Node]
    chosen: dict[str | None, str]
    children: dict[str | None, list[str]]
    parents: dict[str, str | None]
    memories: dict[str, Memory | None]


@dataclass(slots=True)
class Conversation:
    """A tree of questions and answers. `chosen` names, for a node (None: the root), the child that is shown; `name` is
    what the person calls it, empty for its first words."""

    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    started_at: float = field(default_factory=time.time)
    nodes: dict[str, Node] = field(default_factory=dict)
    chosen: dict[str | None, str] = field(default_factory=dict)
    name: str = ""
    choices: Choices = Choices()
    _children: dict[str | None, list[str]] = field(default_factory=dict, repr=False)

    @property
    def title(self) -> str:
        """Its name, or the first words of its first question."""
        return self.name or self.first_words

    @property
    def first_words(self) -> str:
        """The first words of its first question."""
        path = self.path()
        if not path or not isinstance(path[0], Question):
            return UNTITLED
        names = ", ".join(attached.media.name for attached in path[0].attached)
        words = " ".join(path[0].text[: 4 * TITLE_LENGTH].split()) or names
        return words if len(words) <= TITLE_LENGTH else words[: TITLE_LENGTH - 1].rstrip() + "…"

    def path(self) -> list[Node]:
        """The nodes that are shown, first question first."""
        nodes: list[Node] = []
        key = self.chosen.get(None)
        while key is not None:
            nodes.append(self.nodes[key])
            key = self.chosen.get(key)
        return nodes

    def last_answer(self) -> Answer | None:
        """The answer at the end of the path that is shown."""
        path = self.path()
        return path[-1] if path and isinstance(path[-1], Answer) else None

    def question_of(self, answer: Answer) -> Question:
        """The question that it answers."""
        question = self.nodes[answer.parent]
        if not isinstance(question, Question):
            raise TypeError(f"{answer.key} answers no question")
        return question

    def ask(self, text: str, attached: tuple[Attached, ...], thinking: bool) -> Answer:
        """Add a question at the end of the path, and the still empty answer to it."""
        path = self.path()
        question = Question(uuid.uuid4().hex, path[-1].key if path else None, text, attached)
        self.add(question)
        return self._add_answer(question.key, thinking)

    def again(self, answer: Answer, thinking: bool) -> Answer:
        """Another, still empty version of an answer; it is shown instead."""
        return self._add_answer(answer.parent, thinking)

    def withdraw(self, answer: Answer) -> Question:
        """Take an answer out again, and its question if no other answer is left. Returns the question."""
        question = self.question_of(answer)
        self._remove(answer)
        if not self.versions(answer):
            self._remove(question)
        return question

    def versions(self, node: Node) -> list[str]:
        """The keys of a node and of the others in its place, oldest first."""
        return list(self._children.get(node.parent, ()))

    def show(self, key: str) -> None:
        """Show this version in its place."""
        self.chosen[self.nodes[key].parent] = key

    def reveal(self, key: str) -> None:
        """Choose every version on the way to a node, so that the path leads through it."""
        for node in (*self.ancestors(self.nodes[key]), self.nodes[key]):
            self.chosen[node.parent] = node.key

    def edit_question(self, question: Question, text: str, thinking: bool) -> Answer:
        """Another version of a question, with the same media, and the still empty answer to it; both are shown."""
        fresh = Question(uuid.uuid4().hex, question.parent, text, question.attached, memory=question.memory)
        self.add(fresh)
        return self._add_answer(fresh.key, thinking)

    def edit_answer(self, answer: Answer, text: str) -> Answer:
        """Another version of an answer, written by the person; it is shown."""
        fresh = Answer(uuid.uuid4().hex, answer.parent, answer.wants_thinking, text=text, stage="over", ending="edited")
        self.add(fresh)
        return fresh

    def branch(self, key: str) -> "Conversation":
        """A new conversation with the path up to and including a node."""
        node = self.nodes[key]
        fresh = Conversation(choices=self.choices)
        parent: str | None = None
        for earlier in (*self.ancestors(node), node):
            copied = replace(earlier, key=uuid.uuid4().hex, parent=parent)  # type: ignore[arg-type]  # None only for a question
            fresh.add(copied)
            parent = copied.key
        return fresh

    def ancestors(self, node: Node) -> list[Node]:
        """What comes before a node, first question first, whichever versions are shown."""
        nodes: list[Node] = []
        parent = node.parent
        while parent is not None:
            nodes.append(self.nodes[parent])
            parent = self.nodes[parent].parent
        return nodes[::-1]

    def shape(self) -> "Shape":
        """What hangs where at the moment, for `reshape`."""
        children = {parent: list(keys) for parent, keys in self._children.items()}
        memories = {key: node.memory for key, node in self.nodes.items() if isinstance(node, Question)}
        parents = {key: node.parent for key, node in self.nodes.items()}
        return Shape(dict(self.nodes), dict(self.chosen), children, parents, memories)

    def reshape(self, shape: "Shape") -> None:
        """Hang everything where it hung, what was taken out meanwhile included."""
        self.nodes, self.chosen = dict(shape.nodes), dict(shape.chosen)
        self._children = {parent: list(keys) for parent, keys in shape.children.items()}
        for key, parent in shape.parents.items():
            self.nodes[key].parent = parent
        for key, memory in shape.memories.items():
            node = self.nodes[key]
            if isinstance(node, Question):
                node.memory = memory

    def remove_turn(self, answer: Answer) -> list[str]:
        """Take a question out with all its answers; what followed the shown answer follows what was before. Returns
        the keys that are gone."""
        question = self.question_of(answer)
        follows = self._children.get(answer.key, [])
        shown = self.chosen.get(answer.key)
        kept = {node.key for key in follows for node in self._below(self.nodes[key])}
        gone = [node.key for node in self._below(question) if node.key not in kept]
        for key in follows:
            following = self.nodes[key]
            following.parent = question.parent
            if isinstance(following, Question):  # what was left out with the question stays left out
                following.memory = following.memory or question.memory
        siblings = [key for key in self._children.get(question.parent, []) if key != question.key]
        self._children[question.parent] = siblings + follows
        for key in gone:
            self._children.pop(key, None)
            self.chosen.pop(key, None)
            del self.nodes[key]
        self._choose(question.parent, shown)
        return gone

    def add(self, node: Node) -> None:
        """Put a node, whose parent is there already, in its place and show it."""
        self.nodes[node.key] = node
        self.chosen[node.parent] = node.key
        self._children.setdefault(node.parent, []).append(node.key)

    def _below(self, node: Node) -> list[Node]:
        """The node and everything that follows it, in any version."""
        found = [node]
        for earlier in found:  # grows while it is walked
            found += [self.nodes[key] for key in self._children.get(earlier.key, [])]
        return found

    def _add_answer(self, question: str, thinking: bool) -> Answer:
        answer = Answer(uuid.uuid4().hex, question, thinking)
        self.add(answer)
        return answer

    def _remove(self, node: Node) -> None:
        del self.nodes[node.key]
        self.chosen.pop(node.key, None)
        self._children[node.parent].remove(node.key)
        self._choose(node.parent, None)

    def _choose(self, parent: str | None, key: str | None) -> None:
        """Show a child, or the newest if there is no such child."""
        others = self._children.get(parent, [])
        if key is not None and key in others:
            self.chosen[parent] = key
        elif others:
            self.chosen[parent] = others[-1]
        else:
            self.chosen.pop(parent, None)


def draft_message(text: str, attached: tuple[Attached, ...]) -> ChatMessage:
    """A user's turn: the media in order, then the text."""
    parts: list[Part] = [item.media for item in attached]
    if text:
        parts.append(Text(text))
    return ChatMessage("user", tuple(parts))
