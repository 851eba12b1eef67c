"""A stand-in for a model: it says what it was told to, and notes what it was fed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.engine.cache import Snapshot, State
from app.engine.config import ModelConfig, read_config
from app.engine.sampling import Largest
from app.engine.vision import Vision
from app.plan import Plan


class CountingState(State):
    """Remembers nothing but how much it was told."""

    @property
    def nbytes(self) -> int:
        return self.capacity

    def snapshot(self) -> Snapshot:
        return Snapshot(self.length, self.rope_delta, None, 0)

    def restore(self, snapshot: Snapshot) -> None:
        self.length, self.rope_delta = snapshot.length, snapshot.rope_delta

    def reset(self) -> None:
        self.length = self.rope_delta = 0


@dataclass
class ScriptedModel:
    """After a prompt of `prompt` tokens, whatever it reads, its next token is the next of `script`, then an end."""

    config: ModelConfig
    script: list[int] = field(default_factory=list)
    prompt: int = 0
    fed: list[tuple[list[int], list[int]]] = field(default_factory=list)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    device_name: str = "CPU"
    weight_bytes: int = 0
    vision_bytes: int = 0
    notes: tuple[str, ...] = ()
    plan: Plan | None = None
    vision: Vision | None = None
    largest: Largest | None = None

    @classmethod
    def of(cls, folder: Path, script: list[int], vision: Any = None) -> "ScriptedModel":
        return cls(read_config(folder), script, vision=vision)

    def new_state(self, capacity: int) -> State:
        return CountingState(capacity)

    def embed(self, ids: Tensor) -> Tensor:
        return ids.unsqueeze(1).float()

    def forward(self, embeddings: Tensor, positions: Tensor, state: State) -> Tensor:
        assert state.length + len(embeddings) <= state.capacity
        assert positions.shape == (3, len(embeddings))
        self.fed.append(([int(x) for x in embeddings[:, 0]], positions[0].tolist()))
        state.length += len(embeddings)
        said = state.length - self.prompt
        chosen = self.script[said] if 0 <= said < len(self.script) else self.config.eos_ids[0]
        return torch.nn.functional.one_hot(torch.tensor(chosen), self.config.text.vocab_size).float() * 50
