"""The least that a step of a model can cost: bytes that must be read, and operations that must be done.

Knows: the architecture's sizes. Does not know: how fast anything is (`ceilings`), what was measured.
"""

import math

from app.engine.cache import State, TensorState
from app.engine.config import TextConfig
from app.engine.layout import linear_shapes
from app.engine.load import LoadedModel, ParleyModel


def bytes_of_a_token(model: LoadedModel, state: State, depth: int) -> int:
    """Bytes that one token has to read behind `depth` others: all weights but the embedding table once, the DeltaNet
    states once in and once out, the keys and values so far."""
    text = model.config.text
    kv = depth * state.row_bytes if isinstance(state, TensorState) else 0
    if isinstance(model, ParleyModel) and model.decoder is not None:
        return model.decoder.nbytes_a_token + kv
    states = sum(tensor.nbytes for tensor in state.recurrent) if isinstance(state, TensorState) else 0
    table = 0
    if isinstance(model, ParleyModel) and not text.tied_head:
        table = model.text.table.nbytes
    return model.weight_bytes - table + 2 * states + kv


def operations_of_a_prompt(model: LoadedModel, tokens: int) -> float:
    """Floating point operations of the dense products in a prompt: two for each weight of a linear and token, and
    attention's two products with half of all pairs of tokens. DeltaNet's own are few beside them and left out."""
    text = model.config.text
    weights = sum(math.prod(shape) for name, shape in linear_shapes(model.config).items() if name != "lm_head")
    return 2.0 * weights * tokens + _attention(text, tokens)


def _attention(text: TextConfig, tokens: int) -> float:
    layers = text.layer_kinds.count("full_attention")
    return 2.0 * layers * text.heads * text.head_dim * tokens**2
