"""How well a demo model answers held-out questions.

    python -m demo_model.evaluate HELD_OUT --model FOLDER [--expand eora|plain] [--greedy] [--tasks PREFIX]
    python -m demo_model.evaluate HELD_OUT --parley COMMAND [--model FOLDER] [--greedy]

Two ways to ask: transformers itself, on a folder of plain weights or on a quantized folder whose weights GPTQModel
expands, with or without EoRA; or Parley's own engine, as `COMMAND ask --batch FILE --json`. The table counts the
answers that say what they must and nothing that they must not.
"""

import argparse
import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")

import cv2
import torch
from gptqmodel import BACKEND, GPTQModel
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoProcessor, GenerationConfig, Qwen3_5Config, Qwen3_5ForConditionalGeneration
from transformers.generation.logits_process import LogitsProcessor
from transformers.video_utils import VideoMetadata

Question = dict[str, Any]
Answer = dict[str, Any]


class Backend(Protocol):
    """Something that answers questions in order."""

    def answers(self, questions: list[Question]) -> Iterator[Answer]:
        """One object with `thinking`, `answer` and `reason` for each question."""


class Presence(LogitsProcessor):
    """OpenAI's presence penalty: once for every token that was generated; and ids that are no tokens never come."""

    def __init__(self, penalty: float, prompt: int, valid: int) -> None:
        self._penalty, self._prompt, self._valid = penalty, prompt, valid

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores with both applied."""
        scores = scores.clone()
        scores[:, self._valid :] = float("-inf")
        for row, ids in enumerate(input_ids[:, self._prompt :]):
            scores[row, ids.unique()] -= self._penalty
        return scores


class Transformers:
    """transformers' own model and processor on the CPU."""

    def __init__(self, model: Qwen3_5ForConditionalGeneration, processor: Any, *, greedy: bool) -> None:
        self._model, self._processor, self._greedy = model.train(False), processor, greedy

    def answers(self, questions: list[Question]) -> Iterator[Answer]:
        """One question after another."""
        for question in questions:
            yield self._answer(question)

    def _answer(self, question: Question) -> Answer:
        inputs = prepare(self._processor, question)
        torch.manual_seed(question["seed"])
        prompt = inputs["input_ids"].shape[1]
        settings: dict[str, Any] = {"do_sample": False} if self._greedy else sampling(question["direct"])
        penalty = 0.0 if self._greedy else 1.5
        guard = Presence(penalty, prompt, len(self._processor.tokenizer))
        with torch.inference_mode():
            ids = self._model.generate(
                **inputs, max_new_tokens=question["max_tokens"], logits_processor=[guard], **settings
            )
        text = self._processor.tokenizer.decode(ids[0, prompt:], skip_special_tokens=False)
        thinking, mark, answer = text.partition("</think>")
        thinking, answer = (thinking, answer) if mark else ("", text) if question["direct"] else (text, "")
        ended = "<|im_end|>" in text
        return {
            "thinking": thinking.strip(),
            "answer": answer.replace("<|im_end|>", "").strip(),
            "reason": "end" if ended else "length",
        }


def sampling(direct: bool) -> dict[str, Any]:
    """The default presets of the large model."""
    return {"do_sample": True, "temperature": 0.7 if direct else 1.0, "top_p": 0.8 if direct else 0.95, "top_k": 20}


def frames_of(path: str) -> tuple[torch.Tensor, VideoMetadata]:
    """All frames of a video, [T, 3, H, W], with its rate."""
    capture = cv2.VideoCapture(path)
    frames = []
    while (read := capture.read())[0]:
        frames.append(torch.from_numpy(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)).permute(2, 0, 1))
    fps = capture.get(cv2.CAP_PROP_FPS)
    return torch.stack(frames), VideoMetadata(total_num_frames=len(frames), fps=fps, duration=len(frames) / fps)


def prepare(processor: Any, question: Question) -> Any:
    """The model's inputs, by the template and the processors."""
    media = [{"type": "image"}] * len(question["images"]) + [{"type": "video"}] * len(question["videos"])
    messages = [*question["history"], {"role": "user", "content": [*media, {"type": "text", "text": question["text"]}]}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True, enable_thinking=not question["direct"])
    given: dict[str, Any] = {"text": [text], "return_tensors": "pt"}
    if question["images"]:
        given["images"] = [Image.open(path).convert("RGB") for path in question["images"]]
    if question["videos"]:
        loaded = [frames_of(path) for path in question["videos"]]
        given |= {"videos": [frames for frames, _ in loaded], "video_metadata": [data for _, data in loaded]}
    return processor(**given)


def processor_of(folder: Path) -> Any:
    """The folder's processor."""
    load: Any = AutoProcessor.from_pretrained
    return load(folder)


def plain_model(folder: Path, dtype: torch.dtype) -> Qwen3_5ForConditionalGeneration:
    """A model of unquantized weights."""
    network: Qwen3_5ForConditionalGeneration = Qwen3_5ForConditionalGeneration.from_pretrained(folder, dtype=dtype)
    return network


def expanded_model(folder: Path, dtype: torch.dtype, *, eora: bool) -> Qwen3_5ForConditionalGeneration:
    """A quantized model with its weights expanded by GPTQModel, and EoRA's product added where wanted."""
    quantized = GPTQModel.load(str(folder), backend=BACKEND.GPTQ_TORCH, device="cpu", dtype=torch.bfloat16).model
    weights: dict[str, torch.Tensor] = {}
    for name, module in quantized.named_modules():
        if isinstance(module, TorchLinear):
            weights[f"{name}.weight"] = module.dequantize_weight().T.float()
    inside = {f"{name}." for name in (key.removesuffix(".weight") for key in weights)}
    weights |= {k: v for k, v in quantized.state_dict().items() if not any(k.startswith(prefix) for prefix in inside)}
    if eora:
        adapter = load_file(folder / "eora" / "adapter_model.safetensors")
        for key, first in adapter.items():
            if key.endswith(".lora_A.weight"):
                second = adapter[key.replace("lora_A", "lora_B")]
                weights[key.removeprefix("base_model.model.").replace(".lora_A", "")] += second.float() @ first.float()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("quantization_config")
    network = Qwen3_5ForConditionalGeneration(Qwen3_5Config(**config))
    network.load_state_dict(weights)
    network.generation_config = GenerationConfig.from_pretrained(folder)
    for parameter in network.parameters():
        parameter.data = parameter.data.to(dtype)
    return network


class Parley:
    """Parley's own engine, as a separate program."""

    def __init__(self, command: str, model: Path | None, *, greedy: bool) -> None:
        self._command = [*shlex.split(command), "ask", "--json"]
        self._command += ["--model", str(model)] if model else []
        self._command += ["--temperature", "0"] if greedy else []

    def answers(self, questions: list[Question]) -> Iterator[Answer]:
        """All questions through one engine."""
        known = ("text", "images", "videos", "history", "system", "direct", "max_tokens", "seed")
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
            for question in questions:
                file.write(json.dumps({key: question[key] for key in known if key in question}) + "\n")
            file.flush()
            done = subprocess.run([*self._command, "--batch", file.name], capture_output=True, text=True, check=True)
        yield from (json.loads(line) for line in done.stdout.splitlines())


def good(question: Question, answer: Answer) -> bool:
    """Whether an answer says what it must, ends by itself, and has thinking exactly when asked for."""
    text = answer.get("answer", "").replace("center", "centre")
    low = f" {text.lower()} "
    for mark in ".,!?":
        low = low.replace(mark, f" {mark}")
    expect = question["expect"]
    said = all(word.lower() in text.lower() for word in expect["all"])
    wrong = any(f" {word.lower()} " in low or f" {word.lower()}s " in low for word in expect["none"])
    return said and not wrong and answer.get("reason") == "end" and bool(answer.get("thinking")) != question["direct"]


def table(questions: Iterable[Question], answers: Iterable[Answer], *, verbose: bool) -> dict[str, tuple[int, int]]:
    """Right answers and questions by task; wrong ones are printed."""
    counts: dict[str, tuple[int, int]] = {}
    for question, answer in zip(questions, answers, strict=True):
        right = good(question, answer)
        before = counts.get(question["task"], (0, 0))
        counts[question["task"]] = before[0] + right, before[1] + 1
        if verbose and not right:
            print(
                json.dumps(
                    {
                        "task": question["task"],
                        "text": question["text"][-80:],
                        "expect": question["expect"]["all"],
                        **answer,
                    },
                    ensure_ascii=False,
                )[:500],
                flush=True,
            )
    return counts


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("held_out", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--expand", choices=("eora", "plain"))
    parser.add_argument("--parley")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--greedy", action="store_true")
    parser.add_argument("--tasks", default="")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--quiet", action="store_true")
    given = parser.parse_args()
    lines = (given.held_out / "items.jsonl").read_text(encoding="utf-8").splitlines()
    questions: list[Question] = [q for q in map(json.loads, lines) if q["task"].startswith(given.tasks)][:: given.every]
    backend: Backend
    if given.parley:
        backend = Parley(given.parley, given.model, greedy=given.greedy)
    else:
        dtype = getattr(torch, given.dtype)
        model = (
            expanded_model(given.model, dtype, eora=given.expand == "eora")
            if given.expand
            else plain_model(given.model, dtype)
        )
        backend = Transformers(model, processor_of(given.model), greedy=given.greedy)
    for task, (right, total) in sorted(table(questions, backend.answers(questions), verbose=not given.quiet).items()):
        print(f"{task:16} {right:4} of {total:4}  {100 * right / total:5.1f} %", flush=True)


if __name__ == "__main__":
    main()
