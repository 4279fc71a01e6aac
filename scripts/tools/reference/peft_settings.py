"""Writes tests/fixtures/peft-settings/BASE/NAME/: adapters of PEFT whose configuration says where and how they go, or whose files
hold more than the adapter, and what PEFT computes with them on the model of tests/fixtures/BASE.

`adapter_config.json`, `adapter_model.safetensors` (or `.bin`) as PEFT writes them; `expected.safetensors` as peft_exchange.py's.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from peft import IA3Config, LoraConfig, MissConfig, PeftConfig, VeraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from common import FIXTURES, normal, save, single
from peft_exchange import load_inputs, load_model, output_of, unite

ROOT = FIXTURES / "peft-settings"

Change = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]


def wrapped(prefix: str, place: str) -> Change:
    """A wrapper's name put into every key, before the first occurrence of a text."""
    return lambda tensors: {key.replace(place, f"{prefix}{place}", 1): tensor for key, tensor in tensors.items()}


@dataclasses.dataclass
class Case:
    config: PeftConfig
    pickle: bool = False
    change: Change = lambda tensors: tensors
    dtype: torch.dtype = torch.float32
    fields: dict = dataclasses.field(default_factory=dict)


LLAMA = {
    "patterns": Case(LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"],
        rank_pattern={"layers.0.self_attn.q_proj": 1, r".*\.1\.(mlp\..*|self_attn.v)_proj": 3},
        alpha_pattern={"down_proj": 32, "q_proj": 1.5})),
    "patterns-rslora": Case(LoraConfig(r=4, lora_alpha=8, use_rslora=True, target_modules=["q_proj", "v_proj"], rank_pattern={"v_proj": 2})),
    "patterns-dora": Case(LoraConfig(r=2, lora_alpha=8, use_dora=True, target_modules=["q_proj", "o_proj"], rank_pattern={r"model\.layers\.1\..*": 1})),
    "layers": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "up_proj"], layers_to_transform=[1], layers_pattern="layers")),
    "layers-any-pattern": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["v_proj"], layers_to_transform=0)),
    "regex": Case(LoraConfig(r=2, lora_alpha=4, target_modules=r"(?i).*\.(?P<which>Q_PROJ|v_proj)")),
    "regex-look": Case(LoraConfig(r=2, lora_alpha=4, target_modules=r"^(?!.*layers\.0\.).*(?:q_proj|(?<=down)_proj)$")),
    "exclude": Case(LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", exclude_modules=r".*\.mlp\.(gate|up)_proj")),
    "exclude-list": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "k_proj"], exclude_modules=["0.self_attn.k_proj"])),
    "embedding": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["embed_tokens", "q_proj"])),
    "embedding-rslora": Case(LoraConfig(r=3, lora_alpha=4, use_rslora=True, target_modules=["embed_tokens"])),
    "head": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["lm_head", "q_proj"])),
    "head-saved": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["lm_head"])),
    "embedding-saved": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["embed_tokens", "model.norm"])),
    "norms-saved": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["norm"])),
    "pickle": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"]), pickle=True),
    "pickle-half": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"]), pickle=True, dtype=torch.bfloat16),
    "half": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"]), dtype=torch.float16),
    "compiled": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"]), change=wrapped("_orig_mod.", "model.layers")),
    "parallel": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"]), change=wrapped("module.", "base_model.model")),
    "sharded": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"]), change=wrapped("_fsdp_wrapped_module.", "self_attn")),
    "vera-seed": Case(VeraConfig(r=3, target_modules=["q_proj", "down_proj"], save_projection=False, projection_prng_key=42)),
    "vera-layers": Case(VeraConfig(r=2, target_modules=["q_proj"], layers_to_transform=[0], layers_pattern=["layers"])),
    "miss-layers": Case(MissConfig(r=1, target_modules=["v_proj"], layers_to_transform=[1])),
    "ia3": Case(IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"], exclude_modules=["0.mlp.down_proj"])),
    "ia3-regex": Case(IA3Config(target_modules=r".*\.(k|down)_proj", feedforward_modules=r".*down_proj", modules_to_save=["model.norm"])),
}

TIED = {
    "head": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["lm_head", "q_proj"])),
    "head-dora": Case(LoraConfig(r=2, lora_alpha=4, use_dora=True, target_modules=["lm_head"])),
    "head-vera": Case(VeraConfig(r=2, target_modules=["lm_head", "q_proj"])),
    "head-miss": Case(MissConfig(r=1, target_modules=["lm_head", "q_proj"])),
    "table": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["embed_tokens", "v_proj"])),
    "table-and-head": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["embed_tokens", "lm_head"])),
    "head-saved": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["lm_head"])),
    "table-saved": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["embed_tokens"])),
    "both-saved": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"])),
    "table-saved-head-adapted": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "lm_head"], modules_to_save=["embed_tokens"])),
}

VIT = {
    "convolution": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["projection", "q_proj"], modules_to_save=["classifier"])),
    "convolution-patterns": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["projection", "fc1"], rank_pattern={"projection": 3}, alpha_pattern={r"vit\.layers\.1\..*": 1})),
    "bias": Case(LoraConfig(r=2, lora_alpha=4, lora_bias=True, target_modules=["q_proj", "fc2"], modules_to_save=["classifier"])),
    "norm-saved": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["classifier", "layernorm"])),
    "norms-saved": Case(MissConfig(r=1, target_modules=["q_proj"], modules_to_save=["layernorm_before", "layernorm_after"])),
    "all-linear": Case(LoraConfig(r=2, lora_alpha=4, target_modules="all-linear")),
    "all-linear-word": Case(LoraConfig(r=2, lora_alpha=4, target_modules="all-linear"), fields={"target_modules": "all-linear"}),
    "classifier-adapted": Case(VeraConfig(r=2, target_modules=["classifier", "fc1"])),
    "vera-seed": Case(VeraConfig(r=2, target_modules=["q_proj", "fc1"], save_projection=False, projection_prng_key=7, modules_to_save=["classifier"])),
    "layers": Case(LoraConfig(r=2, lora_alpha=4, use_dora=True, target_modules=["q_proj", "fc1"], layers_to_transform=[1], layers_pattern="layers", modules_to_save=["classifier"])),
    "ia3-saved": Case(IA3Config(target_modules=["k_proj", "fc2"], feedforward_modules=["fc2"], modules_to_save=["classifier", "layernorm_after"])),
    "regex": Case(LoraConfig(r=2, lora_alpha=4, target_modules=r"vit\.layers\.\d+\.(attention\.[qv]_proj|mlp\.fc[12])", modules_to_save=["classifier"])),
}

DEPTH = {
    "convolutions": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["projection", "convolution1", "conv1", "conv3", "convs.0"])),
    "head-saved": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], modules_to_save=["head", "layernorm"])),
    "patterns": Case(LoraConfig(r=2, lora_alpha=4, target_modules=r"backbone\..*\.(q_proj|fc1)", rank_pattern={r"layer\.0\..*": 1})),
}

DIT = {
    "convolution": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["pos_embed.proj", "to_q"])),
    "patterns": Case(LoraConfig(r=2, lora_alpha=4, target_modules=["to_q", "ff.net.2"], alpha_pattern={"to_q": 1}, layers_to_transform=[1], layers_pattern="transformer_blocks")),
    "saved": Case(MissConfig(r=1, target_modules=["to_q"], modules_to_save=["proj_out_2", "embedding_table"])),
}


def write(base_name: str, name: str, case: Case, seed: int) -> None:
    folder = ROOT / base_name / name
    torch.manual_seed(seed)
    base = load_model(FIXTURES / base_name)
    base.name_or_path = base_name
    model = get_peft_model(base, case.config)
    generator = torch.Generator().manual_seed(seed)
    for _, parameter in sorted(model.named_parameters()):
        if parameter.requires_grad:
            moved = parameter + normal(generator, parameter.shape, 0.15)
            parameter.data.copy_(single(moved.to(case.dtype)))
    unite(model)
    model.save_pretrained(folder, safe_serialization=not case.pickle)
    (folder / "README.md").unlink()

    path = folder / ("adapter_model.bin" if case.pickle else "adapter_model.safetensors")
    tensors = torch.load(path) if case.pickle else load_file(path)
    tensors = {key: tensor.to(case.dtype).clone() for key, tensor in case.change(tensors).items()}
    if case.pickle:
        torch.save(tensors, path)
    else:
        save_file(tensors, path, metadata={"format": "pt"})

    saved = {**json.loads((folder / "adapter_config.json").read_text()), **case.fields}
    # PEFT writes Python sets, in an order that changes from run to run.
    for field in ("target_modules", "exclude_modules", "feedforward_modules"):
        if isinstance(saved.get(field), list):
            saved[field].sort()
    (folder / "adapter_config.json").write_text(json.dumps(saved, indent=2, sort_keys=True))

    inputs = load_inputs(FIXTURES / base_name / "expected.safetensors", base)
    doubled = {key: tensor.double() if tensor.is_floating_point() else tensor for key, tensor in inputs.items()}
    save(folder / "expected.safetensors", dict([output_of(model.double().eval(), doubled)]))


def main() -> None:
    shutil.rmtree(ROOT, ignore_errors=True)
    groups = {"llama-grouped": LLAMA, "llama-tied": TIED, "vit-rgb": VIT, "depth-metric": DEPTH, "dit-diffusers": DIT}
    for first, (base, cases) in enumerate(groups.items()):
        for seed, (name, case) in enumerate(cases.items(), start=1000 + 100 * first):
            try:
                write(base, name, case, seed)
            except Exception as error:
                raise RuntimeError(f"{base}/{name}") from error


if __name__ == "__main__":
    main()
