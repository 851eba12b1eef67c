"""`parley inspect` as a person runs it, and what it says about a plan."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.ask.arguments import read_arguments
from app.inspect.arguments import InspectOptions
from app.inspect.report import report

ROOT = Path(__file__).resolve().parents[2]


def inspect(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "app", "inspect", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_keys_and_values_in_8_bits_leave_room_for_more() -> None:
    wide, narrow = (
        json.loads(inspect("--memory", "1.2", "--kv-bits", bits, "--json").stdout)["memory"] for bits in ("16", "8")
    )
    assert (wide["kv_bits"], narrow["kv_bits"]) == (16, 8)
    assert wide["sizes_by_kv_bits"] == narrow["sizes_by_kv_bits"] == {"16": wide["sizes"], "8": narrow["sizes"]}
    assert narrow["bytes_a_token"] / wide["bytes_a_token"] == (256 + 8) / 512


def test_the_demo_model_is_described_and_planned() -> None:
    done = inspect("--memory", "24", "--context", "4096", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    model, memory = found["model"], found["memory"]
    assert model["precision"] == "INT4 · INT8 attention · EoRA 8"
    assert model["linears"]["self_attn"] == {"INT8": 8}
    assert model["eora"] == {"linears": 50, "ranks": [8], "adapter": True}
    assert model["odd"] == []
    assert (memory["context"], memory["fits"], memory["vision"], memory["embeddings"]) == (4096, True, "gpu", "gpu")
    assert sum(memory["parts"].values()) == memory["needed"] < memory["free"] == 24 * 10**9


def test_a_folder_that_holds_no_model_is_one_sentence(tmp_path: Path) -> None:
    done = inspect(str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{tmp_path} holds no model.safetensors; choose the folder of a complete model.\n"


def test_options() -> None:
    wanted = ["inspect", "some/model", "--context", "8192", "--memory", "20.5", "--yarn", "2"]
    assert read_arguments(wanted) == InspectOptions(Path("some/model"), 8192, 2, 20_500_000_000, json=False)
    for wrong in (["--memory", "nan"], ["--memory", "-1"], ["--yarn", "3"], ["--context", "many"]):
        with pytest.raises(SystemExit):
            read_arguments(["inspect", *wrong])


def plan(**changes: Any) -> dict[str, Any]:
    model = {
        "name": "Some model",
        "precision": "INT4",
        "files": 2,
        "bytes": 17_800_000_000,
        "layers": {"gated_delta": 48, "full_attention": 16},
        "linears": {"mlp": {"INT4": 192}},
        "eora": None,
        "vision": None,
        "mtp": False,
        "template": True,
        "native_context": 262_144,
        "odd": ["It cannot see."],
    }
    memory = {
        "device": "NVIDIA Something",
        "free": 20 * 10**9,
        "total": 24 * 10**9,
        "kv_bits": 16,
        "context": 131_072,
        "fits": False,
        "needed": 27 * 10**9,
        "missing": 7 * 10**9,
        "largest_context": 20_000,
        "vision": "parked",
        "embeddings": "host",
        "parts": {"weights": 17 * 10**9, "embeddings": 0, "context": 8_589_934_592},
    }
    return {"model": model, "memory": memory | changes}


def test_what_does_not_fit_says_what_is_missing_and_what_would_fit() -> None:
    text = report(plan())
    assert "7.00 GB are missing; 20,000 tokens are the largest context that fits now." in text
    assert "tower waits" in text
    assert "embedding table stays" in text
    assert "It cannot see." in text
    assert "embedding table  " not in text
    assert "even with the smallest context" in report(plan(largest_context=0))


def test_what_fits_says_how_far_it_could_go() -> None:
    assert "It fits; 150,000 tokens are the largest" in report(plan(fits=True, largest_context=150_000))
    assert "It fits; 262,144 tokens are all" in report(plan(fits=True, largest_context=262_144))
    assert "131,072 tokens, keys and values in 8 bits, it needs 27.00 GB" in report(plan(fits=True, kv_bits=8))
    assert "--memory GB" in report({**plan(), "memory": None})
