"""What the engine does while nobody asks: reads the answer it has just given as the next prompt will hold it.

Knows: that templates take the thinking out of an answer once another question follows, so that its tokens change.
Does not know: commands, queues, what else idle time is good for.
"""

import numpy as np
import torch

from app.engine.generation import Between, Pace, Stopped, read_prompt
from app.engine.load import LoadedModel
from app.engine.prompt import Composer, going_on
from app.engine.sampling import NotFiniteError
from app.engine.sessions import Sessions
from app.protocol import ChatMessage, Generate, Text

_BEHIND = np.array([np.iinfo(np.int64).min])
"""A key that no prompt has: it stands for whatever will be asked next."""


def read_ahead(
    model: LoadedModel,
    composer: Composer,
    sessions: Sessions,
    pace: Pace,
    *,
    asked: Generate,
    answered: str,
    between: Between,
) -> bool:
    """Go back to before an answer and read it in its final form, so that a follow-up only reads its own question.

    Returns whether it came to the end; what was read until `between` stopped it stays. Raises `PromptError`,
    `MediaError`, `NotFiniteError`, and what torch raises.
    """
    if not answered.strip():
        return True  # an empty answer is left out of later prompts
    earlier, begun = going_on(asked.messages)
    messages = (*earlier, ChatMessage("assistant", (Text(begun + answered),)))
    prompt = composer.settled(messages, capacity=sessions.state.capacity)
    if prompt is None or len(prompt.turns) < 2:
        return True
    keys = np.concatenate((sessions.keys_of(prompt, between.tick), _BEHIND))
    if 2 * sessions.shared(keys) < prompt.turns[-2]:
        return True  # there was no memory to keep a place before the answer, so this would read everything again
    try:
        if sessions.go(keys, asked.conversation, between.check) < len(prompt.ids):
            logits = read_prompt(model, sessions.state, prompt, between, pace=pace)
            if not torch.isfinite(logits[: model.config.vocab_valid].max()):
                raise NotFiniteError  # what would be kept here would spoil every answer to come
    except Stopped:
        return False
    sessions.keep()
    return True
