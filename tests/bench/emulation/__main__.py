"""The checks, emulated; see the package."""

import sys
import tempfile
from pathlib import Path

import torch

from app.engine.cache import KvBits
from app.engine.kernels.check import error, small_checks
from app.engine.kernels.choose import largest_checks
from app.engine.kernels.decode import Decoder
from app.engine.kernels.prefill import Prefill
from app.engine.kernels.prefill_check import prefill_checks
from app.engine.kernels.runtime import Gpu, Kernels
from app.engine.kernels.token_check import token_checks
from app.engine.model import TextModel
from app.engine.rope import text_positions
from tests.bench.emulation import EmulatedKernels
from tests.bench.synthetic import SMALL, SyntheticWeights

CPU = torch.device("cpu")


def whole_token(kernels: Kernels, tokens: int, kv_bits: KvBits) -> float:
    """The worst of a few tokens' logits against plain torch in fp32."""
    exact = TextModel(SMALL.text, SyntheticWeights(SMALL, CPU, torch.float32), CPU, torch.float32)
    model = TextModel(SMALL.text, SyntheticWeights(SMALL, CPU), CPU, torch.bfloat16)
    decoder = Decoder(model, kernels)
    states = exact.new_state(tokens), model.new_state(tokens, kv_bits)
    worst = 0.0
    for index in range(tokens):
        token, position = torch.randint(0, 320, (1,)), text_positions(index, index + 1, 0)
        expected = exact.forward(exact.embed(token), position, states[0])
        worst = max(worst, error(decoder.step(model.embed(token)[0], index, states[1]), expected.double()))
    return worst


def whole_prompt(kernels: Kernels, cuts: tuple[int, ...], kv_bits: KvBits) -> float:
    """The worst of a prompt's logits, read in such chunks, against plain torch in fp32."""
    exact = TextModel(SMALL.text, SyntheticWeights(SMALL, CPU, torch.float32), CPU, torch.float32)
    model = TextModel(SMALL.text, SyntheticWeights(SMALL, CPU), CPU, torch.bfloat16)
    prefill = Prefill(model, kernels, *Decoder(model, kernels).packed)
    states = exact.new_state(sum(cuts)), model.new_state(sum(cuts), kv_bits)
    worst = 0.0
    for count in cuts:
        ids, begin = torch.randint(0, 320, (count,)), states[0].length
        positions = text_positions(begin, begin + count, 0)
        expected = exact.forward(exact.embed(ids), positions, states[0])
        worst = max(worst, error(prefill.forward(model.embed(ids), positions, states[1]), expected.double()))
    return worst


def main() -> int:
    """Print every comparison; 1 if one is wrong."""
    given = [int(text) for text in sys.argv[1:]]
    multiprocessors, kilobytes = given + [5, 227][len(given) :]
    gpu = Gpu(multiprocessors, kilobytes * 1024)
    right = True
    with tempfile.TemporaryDirectory() as folder:
        for group in (2, 6):
            kernels = EmulatedKernels(Path(folder), gpu, group)
            checks = (
                *small_checks(kernels, CPU, group),
                *token_checks(kernels, torch.Generator()),
                *prefill_checks(kernels, torch.Generator()),
                *largest_checks(kernels, CPU),
            )
            for checked in checks:
                sys.stdout.write(f"{'right' if checked.right else 'WRONG'} {checked.name}: {checked.error:.1e}\n")
                right = right and checked.right
        choices: tuple[KvBits, ...] = (16, 8)
        for bits in choices:
            worst, prompt = whole_token(kernels, 4, bits), whole_prompt(kernels, (2, 70, 9), bits)
            right = right and max(worst, prompt) < 0.03
            said = f"off by at most {worst:.4f}; a prompt: by {prompt:.4f}"
            sys.stdout.write(f"four whole tokens, keys and values of {bits} bits: {said}\n")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
