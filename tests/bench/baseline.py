"""The model card's own snippet on the same folder: GPTQModel with its Triton kernels, and transformers' `generate`.

    python3 -m tests.bench.baseline FOLDER [OUT.json]      on a machine with a CUDA GPU and a C compiler, for Triton

What stands beside `parley bench` in docs/performance.md. Each part is written as soon as it is known, so that a run
that is cut off still says something.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from app.bench.measure import HostPeak
from app.engine.checkpoint import Checkpoint

NEW_TOKENS = 32
PROMPTS = (128, 2048, 8192)


def load(folder: Path) -> Any:
    """As the card says, the adapter named because the configuration does not."""
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", str(os.cpu_count() or 1))
    from gptqmodel import BACKEND, GPTQModel
    from gptqmodel.adapter.adapter import Lora

    eora = Checkpoint(folder).eora
    adapter = None
    if eora is not None:
        first = next(iter(eora.names))
        adapter = Lora(rank=eora.rank(first), path=str(eora.shards[eora.names[first][0]].shard.parent))
    return GPTQModel.load(
        str(folder),
        backend=BACKEND.GPTQ_TRITON,
        device="cuda",
        adapter=adapter,
        dtype=torch.bfloat16,
        trust_remote_code=False,
        local_files_only=True,
    )


def seconds(work: Callable[[], object]) -> float:
    """How long something takes until the GPU is done."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    """Measure and write."""
    folder = Path(sys.argv[1])
    out = Path(sys.argv[2] if len(sys.argv) > 2 else "baseline.json")
    found: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}

    def note(**figures: object) -> None:
        found.update(figures)
        out.write_text(json.dumps(found, indent=1), encoding="utf-8")
        sys.stdout.write(f"{figures}\n")
        sys.stdout.flush()

    with HostPeak() as host:
        began = time.perf_counter()
        model = load(folder).model
        torch.cuda.synchronize()
    note(
        load_seconds=time.perf_counter() - began,
        host_peak_bytes=host.most,
        gpu_peak_bytes=torch.cuda.max_memory_allocated(),
        gpu_bytes=torch.cuda.memory_allocated(),
    )
    ids = {length: (torch.arange(length, device="cuda") * 7919 % 1200).unsqueeze(0) for length in PROMPTS}

    def generate(count: int) -> float:
        return seconds(
            lambda: model.generate(
                input_ids=ids[128],
                attention_mask=torch.ones_like(ids[128]),
                max_new_tokens=count,
                min_new_tokens=count,
                do_sample=False,
            )
        )

    with torch.inference_mode():
        note(first_token_seconds=generate(1), first_token_again_seconds=generate(1))
        generate(4)
        short, long = generate(4), generate(4 + NEW_TOKENS)
        note(decode_tokens_a_second=NEW_TOKENS / (long - short))
        for length in PROMPTS[1:]:
            first, second = (seconds(partial(model, input_ids=ids[length], logits_to_keep=1)) for _ in range(2))
            note(**{f"prompt_{length}": {"first_seconds": first, "tokens_a_second": length / second}})
    note(peak_gpu_bytes=torch.cuda.max_memory_allocated())


if __name__ == "__main__":
    main()
