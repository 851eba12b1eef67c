"""What a model folder may and may not hold: every refusal is one sentence that says what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from app.engine import shards
from app.engine.checkpoint import Checkpoint, read_quantization
from app.engine.errors import CheckpointError
from tests.checkpoints import Made, dense

INDEX = "model.safetensors.index.json"
SHARD = "model-00001-of-00002.safetensors"
GATE = "model.language_model.layers.0.mlp.gate_proj"
SCALES = f"{GATE}.scales"


@pytest.fixture
def folder(made: Made, tmp_path: Path) -> Path:
    """A copy of the quantized checkpoint to break."""
    return Path(shutil.copytree(made.folder, tmp_path / "model"))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))


def edit_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object], name: str = GATE) -> None:
    """Change the shard that holds a tensor; the index follows."""
    index = json.loads((folder / INDEX).read_text())
    shard = next(file for tensor, file in index["weight_map"].items() if tensor.startswith(name))
    for tensor in [t for t, file in index["weight_map"].items() if file == shard]:
        del index["weight_map"][tensor]
    tensors = load_file(folder / shard)
    change(tensors)
    save_file(tensors, folder / shard)
    index["weight_map"] |= dict.fromkeys(tensors, shard)
    (folder / INDEX).write_text(json.dumps(index))


def set_weight(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        edit_tensors(folder, lambda tensors: tensors.update({name: change(tensors[name])}), name)

    return apply


def configure(**fields: Any) -> Callable[[Path], object]:
    return lambda folder: edit(folder / "config.json", lambda plain: plain.update(fields))


def configure_text(**fields: Any) -> Callable[[Path], object]:
    return lambda folder: edit(folder / "config.json", lambda plain: plain["text_config"].update(fields))


def configure_gptq(**fields: Any) -> Callable[[Path], object]:
    return lambda folder: edit(folder / "quantize_config.json", lambda plain: plain.update(fields))


def reroute(name: str) -> Callable[[Path], object]:
    """Let the index name another file for every tensor of the first shard."""

    def change(plain: dict[str, Any]) -> None:
        plain["weight_map"] = {t: name if file == SHARD else file for t, file in plain["weight_map"].items()}

    return lambda folder: edit(folder / INDEX, change)


def cut(name: str, keep: float) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        raw = (folder / name).read_bytes()
        (folder / name).write_bytes(raw[: int(len(raw) * keep)])

    return apply


def remove(*names: str) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return apply


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def remove_weights(folder: Path) -> None:
    for path in folder.glob("*.safetensors*"):
        path.unlink()


def only_pickles(folder: Path) -> None:
    remove_weights(folder)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")


def promise_in_the_card(folder: Path) -> None:
    shutil.rmtree(folder / "eora")
    (folder / "README.md").write_text("# A model\n\nINT4 with EoRA rank 64.\n")


def promise_in_the_config(folder: Path) -> None:
    shutil.rmtree(folder / "eora")
    configure_gptq(adapter={"name": "lora", "rank": 8, "path": "eora"})(folder)


def eora_for_some(folder: Path) -> None:
    path = folder / "eora" / "adapter_model.safetensors"
    tensors = load_file(path)
    save_file({name: tensor for name, tensor in tensors.items() if "layers.2" not in name}, path)


def eora_for_another_model(folder: Path) -> None:
    path = folder / "eora" / "adapter_model.safetensors"
    tensors = {name.replace("layers.3", "layers.9"): tensor for name, tensor in load_file(path).items()}
    save_file(tensors, path)


def eora_of_another_shape(folder: Path) -> None:
    path = folder / "eora" / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors[f"base_model.model.{GATE}.lora_B.weight"] = torch.zeros(5, 8)
    save_file(tensors, path)


REFUSALS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (remove("config.json"), "no config.json"),
    "broken config": (write("config.json", "{"), "not valid JSON"),
    "config is a list": (write("config.json", "[]"), "no JSON object"),
    "deep config": (write("config.json", "[" * 200_000), "not valid JSON"),
    "another architecture": (configure(architectures=["LlamaForCausalLM"]), "LlamaForCausalLM"),
    "no architecture": (configure(architectures=None, model_type="gpt2"), "gpt2"),
    "no text section": (configure(text_config=7), "not an object"),
    "absurd size": (configure_text(hidden_size=10**12), "hidden_size"),
    "text for a number": (configure_text(num_hidden_layers="4"), "num_hidden_layers"),
    "true for a number": (configure_text(num_attention_heads=True), "num_attention_heads"),
    "wrong layers": (configure_text(layer_types=["mamba"] * 4), "layer_types"),
    "another size": (configure_text(intermediate_size=256), "another shape"),
    "yarn": (configure_text(rope_parameters={"rope_type": "yarn", "rope_theta": 1e7}), "rope_type"),
    "heads that do not divide": (configure_text(num_key_value_heads=3), "num_key_value_heads"),
    "deepstack": (
        lambda folder: edit(
            folder / "config.json", lambda plain: plain["vision_config"].update(deepstack_visual_indexes=[1])
        ),
        "deepstack",
    ),
    "no tokenizer": (remove("tokenizer.json"), "no tokenizer.json"),
    "tokenizer of another model": (configure_text(vocab_size=200), "more tokens"),
    "empty tokenizer": (write("tokenizer.json", '{"model": {"vocab": {}}}'), "no usable tokens"),
    "no weights": (remove_weights, "no model.safetensors"),
    "pickles only": (only_pickles, "pickles"),
    "missing shard": (remove(SHARD), "1 of the 2 weight files"),
    "shard cut short": (cut(SHARD, 0.9), "cut short"),
    "shard cut in its header": (cut(SHARD, 0.001), "damaged or was cut short"),
    "empty shard": (cut(SHARD, 0), "damaged or was cut short"),
    "shard longer than it says": (
        lambda folder: (folder / SHARD).write_bytes((folder / SHARD).read_bytes() + b"x"),
        "longer",
    ),
    "shard outside the folder": (reroute("../other.safetensors"), "outside its folder"),
    "shard at an absolute path": (reroute("/etc/passwd.safetensors"), "outside its folder"),
    "shard on another drive": (reroute("C:\\model.safetensors"), "outside its folder"),
    "shard that is a pickle": (reroute("pytorch_model.bin"), "outside its folder"),
    "shard without what the index says": (reroute("model-00002-of-00002.safetensors"), "does not hold"),
    "broken index": (write(INDEX, '{"weight_map": 3}'), "lists no weights"),
    "missing tensor": (lambda folder: edit_tensors(folder, lambda t: t.pop(SCALES), SCALES), "lacks"),
    "packed wrongly": (set_weight(f"{GATE}.qweight", lambda t: t[:-1].clone()), "another shape"),
    "norm of another size": (
        set_weight("model.language_model.norm.weight", lambda t: t[:-1].clone()),
        "another shape",
    ),
    "other bits than configured": (configure_gptq(dynamic={}), "8 bits where 4"),
    "no quantization settings": (remove("quantize_config.json"), "no quantize_config.json"),
    "another quantization": (configure_gptq(quant_method="awq"), "quant_method"),
    "planar format": (configure_gptq(checkpoint_format="gptq_p"), "checkpoint_format"),
    "rule that is no pattern": (configure_gptq(dynamic={"+:(": {"bits": 8}}), "rule"),
    "rule with absurd bits": (configure_gptq(dynamic={"+:x": {"bits": "8"}}), "bits"),
    "EoRA promised by the card": (promise_in_the_card, "README.md promises EoRA"),
    "EoRA promised by the config": (promise_in_the_config, "promises EoRA"),
    "EoRA without its weights": (remove("eora/adapter_model.safetensors"), "adapter_model.safetensors is missing"),
    "EoRA without its config": (remove("eora/adapter_config.json"), "adapter_config.json is missing"),
    "EoRA cut short": (cut("eora/adapter_model.safetensors", 0.5), "cut short"),
    "EoRA of some layers": (eora_for_some, "EoRA covers only"),
    "EoRA for another model": (eora_for_another_model, "layers.9"),
    "EoRA of another shape": (eora_of_another_shape, "do not fit"),
    "two adapters": (lambda folder: shutil.copytree(folder / "eora", folder / "eora-2"), "keep only one"),
    "DoRA": (
        lambda folder: edit(folder / "eora" / "adapter_config.json", lambda plain: plain.update(use_dora=True)),
        "use_dora",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_run_is_refused_in_one_sentence(folder: Path, case: str) -> None:
    break_it, message = REFUSALS[case]
    break_it(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        Checkpoint(folder)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert ";" in sentence, "a sentence says what is wrong; then what to do"


def test_an_adapter_for_plain_weights_is_refused(made: Made, tmp_path: Path) -> None:
    plain = dense(tmp_path / "plain", vision=False)
    shutil.copytree(made.folder / "eora", plain.folder / "eora")
    with pytest.raises(CheckpointError, match="not quantized"):
        Checkpoint(plain.folder)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(CheckpointError, match="not a folder"):
            Checkpoint(path)


def test_a_group_index_out_of_range_is_refused_when_read(folder: Path) -> None:
    set_weight(f"{GATE}.g_idx", lambda t: t + 100)(folder)
    with pytest.raises(CheckpointError, match="groups that do not exist"):
        Checkpoint(folder).packed(GATE, torch.device("cpu"))


def test_foreign_code_is_never_followed(folder: Path) -> None:
    configure(auto_map={"AutoModel": "evil.Model"}, trust_remote_code=True)(folder)
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    Checkpoint(folder)


def test_eora_is_scaled_by_alpha_over_rank(folder: Path) -> None:
    plain = Checkpoint(folder).correction(GATE, torch.device("cpu"))
    edit(folder / "eora" / "adapter_config.json", lambda config: config.update(lora_alpha=24))
    scaled = Checkpoint(folder).correction(GATE, torch.device("cpu"))
    assert plain is not None
    assert scaled is not None
    assert torch.allclose(scaled.b, plain.b.float() * 3)


def test_settings_may_stand_in_config_json(folder: Path) -> None:
    settings = json.loads((folder / "quantize_config.json").read_text())
    (folder / "quantize_config.json").unlink()
    configure(quantization_config=settings)(folder)
    assert Checkpoint(folder).config.precision == "INT4 · INT8 attention · EoRA 8"


@pytest.mark.parametrize(
    ("rules", "name", "bits"),
    [
        ({}, "a.b", 4),
        ({"+:a": {"bits": 8}}, "a.b", 8),
        ({"a": {"bits": 8}}, "a.b", 8),
        ({"b": {"bits": 8}}, "a.b", 4),
        ({r".*\.b": {"bits": 8}}, "a.b", 8),
        ({"-:a": {}}, "a.b", None),
        ({"-:a": {}, "+:a": {"bits": 8}}, "a.b", None),
        ({"+:a": {"bits": 8}, "-:a": {}}, "a.b", 8),
        ({"^a$": {"bits": 8}}, "a.b", 4),
        ({"^a\\.b$": {"bits": 8}}, "a.b", 8),
        ({"a": {"group_size": 32}}, "a.b", 4),
    ],
)
def test_rules_decide_as_in_gptqmodel(folder: Path, rules: dict[str, Any], name: str, bits: int | None) -> None:
    from tests.foreign import dynamic_get

    configure_gptq(dynamic=rules)(folder)
    quantization = read_quantization(folder)
    assert quantization is not None
    assert quantization.bits_of(name) == bits
    theirs = dynamic_get(rules, name, "bits", 4)
    assert (None if theirs is False else theirs) == bits


def test_end_tokens_come_from_every_file(tmp_path: Path) -> None:
    made = dense(tmp_path / "m", vision=False)
    config = Checkpoint(made.folder).config
    assert config.eos_ids == (256, 258)
    assert config.vocab_valid == 265
    assert config.native_context == 4096
    edit(made.folder / "generation_config.json", lambda plain: plain.update(eos_token_id=7))
    assert Checkpoint(made.folder).config.eos_ids == (7, 256, 258)


def test_a_snapshot_in_a_cache_is_called_by_its_repository(tmp_path: Path) -> None:
    made = dense(tmp_path / "models--Some--Model-4bit" / "snapshots" / "0123abcd", vision=False)
    assert Checkpoint(made.folder).config.name == "Model-4bit"


def test_a_file_whose_tensors_overlap_is_refused(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header = json.dumps({"a": entry, "b": entry}).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(CheckpointError, match="overlap; download that file again"):
        shards.read_header(file)


def test_a_file_that_shrinks_once_it_is_open_is_refused_when_it_is_read(folder: Path) -> None:
    checkpoint = Checkpoint(folder)
    file = checkpoint.shards[SCALES].shard
    file.write_bytes(file.read_bytes()[: checkpoint.shards[SCALES].begin + 1])
    with pytest.raises(CheckpointError, match="cut short"):
        checkpoint.plain(SCALES, torch.device("cpu"))
    file.unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.plain(SCALES, torch.device("cpu"))


@pytest.mark.parametrize(
    "error", [torch.AcceleratorError("CUDA error"), RuntimeError("DefaultCPUAllocator: no memory")]
)
def test_a_device_that_fails_is_no_damaged_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    checkpoint = Checkpoint(folder)
    monkeypatch.setattr(shards, "read_bytes", broken)
    with pytest.raises(type(error)):
        checkpoint.plain(SCALES, torch.device("cpu"))
