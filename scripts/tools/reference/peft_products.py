"""Adapters as products: stacked, weighted into one, converted, all by Hugging Face PEFT on the ViT of tests/fixtures/vit-rgb.

    python peft_products.py write
        writes tests/fixtures/peft-products/: sources (a, b, c, miss-1, miss-5), what add_weighted_adapter makes of them
        (linear, linear-negative, cat, svd), logits of all and of a and b stacked, and which settings of MiSS are 1LoRA
    python peft_products.py convert
        runs `deno task export` on the sources, loads what it wrote in PEFT, fails unless the logits are those of the source to
        1e-6, and keeps what was written in tests/fixtures/peft-products/converted/
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, MissConfig, PeftConfig, PeftModel, get_peft_model
from torch import Tensor, nn

from common import FIXTURES, load_batch, load_vit, normal, save, single

FOLDER = FIXTURES / "peft-products"
BASE = "vit-rgb"
LEAVES = ["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"]
SOURCES: dict[str, PeftConfig] = {
    "a": LoraConfig(r=2, lora_alpha=8, target_modules=LEAVES),
    "b": LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj", "v_proj"]),
    "c": LoraConfig(r=3, lora_alpha=4, use_rslora=True, target_modules=LEAVES),
    "miss-1": MissConfig(r=1, init_weights=False, target_modules=LEAVES),
    # Five does not divide the layers' inputs.
    "miss-5": MissConfig(r=5, target_modules=LEAVES),
}
COMBINED = {
    "linear": (["a", "b"], [0.7, 0.3], {"combination_type": "linear"}),
    "linear-negative": (["a", "b"], [0.7, -0.4], {"combination_type": "linear"}),
    "cat": (["a", "b", "c"], [0.7, 0.3, 0.5], {"combination_type": "cat"}),
    "svd": (["a", "c"], [0.7, 0.3], {"combination_type": "svd", "svd_rank": 3}),
}
CONVERTED = {
    "miss-1-as-lora": ("miss-1", "peft-lora"),
    "miss-5-as-lora": ("miss-5", "peft-lora"),
    "c-as-lora": ("c", "peft-lora"),
    "miss-1-as-miss": ("miss-1", "peft-miss"),
    "miss-5-as-miss": ("miss-5", "peft-miss"),
}


def base() -> nn.Module:
    model = load_vit(BASE)
    # PEFT would record this machine's path.
    model.name_or_path = BASE
    return model


def logits(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model.double().eval()(load_batch(BASE)[0]).logits


def keep(model: PeftModel, name: str, folder: Path) -> None:
    """One adapter's folder as PEFT writes it, but for the order of its targets."""
    with tempfile.TemporaryDirectory() as scratch:
        model.float().save_pretrained(scratch, selected_adapters=[name], save_embedding_layers=False)
        source = Path(scratch) if name == "default" else Path(scratch) / name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "adapter_model.safetensors", folder)
        config = json.loads((source / "adapter_config.json").read_text())
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True))


def write_sources() -> None:
    for seed, (name, config) in enumerate(SOURCES.items(), start=700):
        torch.manual_seed(seed)
        model = get_peft_model(base(), config)
        generator = torch.Generator().manual_seed(seed)
        for _, parameter in sorted(model.named_parameters()):
            if parameter.requires_grad:
                parameter.data.copy_(single(parameter * 0 + normal(generator, parameter.shape, 0.15)))
        keep(model, "default", FOLDER / name)
        save(FOLDER / name / "expected.safetensors", {"logits": logits(model)})


def opened(names: list[str]) -> PeftModel:
    first, *others = names
    model = PeftModel.from_pretrained(base(), FOLDER / first, adapter_name=first)
    for name in others:
        model.load_adapter(FOLDER / name, adapter_name=name)
    return model.double()


def write_combined() -> None:
    for name, (parts, weights, options) in COMBINED.items():
        model = opened(parts)
        model.add_weighted_adapter(parts, weights, name, **options)
        model.set_adapter(name)
        found = logits(model)
        keep(model, name, FOLDER / name)
        save(FOLDER / name / "expected.safetensors", {"logits": found})


def write_stacked() -> None:
    model = opened(["a", "b"])
    model.base_model.set_adapter(["a", "b"])
    save(FOLDER / "stacked.safetensors", {"a+b": logits(model)})


def write_settings() -> None:
    """Which settings of MiSS compute b * sum(x) of a block of r = 1."""
    torch.manual_seed(0)
    inputs, outputs = 6, 4
    x, found = torch.randn(3, inputs), {}
    for init in [True, False, "mini", "bat"]:
        for mini in [1, 2, 4]:
            layers = nn.Sequential(nn.Linear(inputs, outputs))
            config = MissConfig(r=1, init_weights=init, mini_r=mini, miss_dropout=0.5, target_modules=["0"])
            model = get_peft_model(layers, config).eval()
            block = model.base_model.model[0].miss_block["default"]
            block.data.copy_(torch.randn(block.shape))
            b = block.flatten().repeat(outputs // block.numel())
            expected = model.base_model.model[0].base_layer(x) + b * x.sum(-1, keepdim=True)
            close = torch.allclose(model(x), expected, atol=1e-5)
            found[f"init_weights {json.dumps(init)}, mini_r {mini}"] = {"block": list(block.shape), "is1Lora": close}
    (FOLDER / "miss-settings.json").write_text(json.dumps(found, indent=2) + "\n")


def convert() -> None:
    root = FIXTURES.parents[1]
    for name, (source, to) in CONVERTED.items():
        folder = FOLDER / "converted" / name
        shutil.rmtree(folder, ignore_errors=True)
        # The command may write nothing into the project's own folders.
        with tempfile.TemporaryDirectory() as scratch:
            arguments = ["--model", FIXTURES / BASE, "--adapter", FOLDER / source, "--to", to, "--out", f"{scratch}/out"]
            subprocess.run(["deno", "task", "--quiet", "export", *map(str, arguments)], cwd=root, check=True)
            shutil.copytree(f"{scratch}/out", folder)
        model = PeftModel.from_pretrained(base(), folder)
        expected = opened([source])
        difference = (logits(model) - logits(expected)).abs().max().item()
        print(f"{name}: logits differ by at most {difference:.2e}")
        assert difference <= 1e-6, name


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        write_sources()
        write_combined()
        write_stacked()
        write_settings()
    elif sys.argv[1:] == ["convert"]:
        convert()
    else:
        sys.exit(__doc__)
