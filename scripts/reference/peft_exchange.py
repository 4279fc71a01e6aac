"""Exchange of adapters with Hugging Face PEFT, both ways.

    python peft_exchange.py write
        writes tests/fixtures/peft/METHOD/{adapter_config.json,adapter_model.safetensors,expected.safetensors}
    python peft_exchange.py check --model DIR --input FILE --adapter DIR --output FILE [--adapter DIR --output FILE ...]
        loads adapter folders in PEFT; exits with 1 unless each has every key and PEFT's logits equal the given ones
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import torch
from peft import LoraConfig, MissConfig, PeftConfig, PeftModel, VeraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import ViTForImageClassification

from common import FIXTURES, load_batch, load_vit, normal, published, save, single

BASE = "vit-rgb"
LEAVES = ["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"]

CONFIGS = {
    "lora": LoraConfig(r=2, lora_alpha=8, target_modules=LEAVES),
    "lora-qkv": LoraConfig(r=1, lora_alpha=2, target_modules=["q_proj", "k_proj", "v_proj"]),
    "rslora": LoraConfig(r=4, lora_alpha=8, use_rslora=True, target_modules=LEAVES),
    "dora": LoraConfig(r=2, lora_alpha=8, use_dora=True, target_modules=LEAVES),
    "vera": VeraConfig(r=3, target_modules=LEAVES),
    "miss": MissConfig(r=1, init_weights=True, target_modules="all-linear"),
}


def write_adapter(name: str, config: PeftConfig, seed: int) -> None:
    """One adapter folder with random values, exactly as PEFT writes it but for the order of its targets."""
    folder = FIXTURES / "peft" / name
    config.modules_to_save = ["classifier"]
    torch.manual_seed(seed)
    base = load_vit(BASE).float()
    # PEFT would record this machine's path.
    base.name_or_path = BASE
    model = get_peft_model(base, config)
    generator = torch.Generator().manual_seed(seed)
    for key, parameter in sorted(model.named_parameters()):
        if parameter.requires_grad:
            scale = 0.5 if "vera_lambda" in key else 0.15
            parameter.data.copy_(single(parameter + normal(generator, parameter.shape, scale)))
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink()

    saved = json.loads((folder / "adapter_config.json").read_text())
    # PEFT writes a Python set, in an order that changes from run to run.
    saved["target_modules"].sort()
    (folder / "adapter_config.json").write_text(json.dumps(saved, indent=2, sort_keys=True))

    pixel_values, _ = load_batch(BASE)
    with torch.no_grad():
        save(folder / "expected.safetensors", {"logits": model.double().eval()(pixel_values).logits})


def write_published_names(name: str, source: str) -> None:
    """The source adapter as PEFT wrote it when transformers' modules were still called as in the files (5.0, 4.x)."""
    folder, source_folder = FIXTURES / "peft" / name, FIXTURES / "peft" / source
    tensors = load_file(source_folder / "adapter_model.safetensors")
    folder.mkdir(parents=True, exist_ok=True)
    renamed = {published(key): tensor for key, tensor in tensors.items()}
    save_file(renamed, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = json.loads((source_folder / "adapter_config.json").read_text())
    config["target_modules"] = ["dense", "key", "query", "value"]
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
    shutil.copy(source_folder / "expected.safetensors", folder)


def check_adapter(model: Path, adapter: Path, pixel_values: Tensor, logits: Tensor, tolerance: float) -> bool:
    """Prints what it found; true if PEFT missed no key and its logits differ by at most the tolerance."""
    base = ViTForImageClassification.from_pretrained(model, attn_implementation="sdpa")
    try:
        adapted = PeftModel.from_pretrained(base, adapter).eval()
    except ValueError as error:
        print(f"{adapter}: {error}")
        return False
    saved = set(load_file(adapter / "adapter_model.safetensors"))
    wanted = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    for key in sorted(saved ^ wanted):
        print(f"{adapter}: {key} is {'ignored by PEFT' if key in saved else 'missing'}")
    with torch.no_grad():
        difference = (adapted(pixel_values).logits - logits).abs().max().item()
    print(f"{adapter}: logits differ by at most {difference:.2e} (tolerance {tolerance:.0e})")
    return wanted <= saved and difference <= tolerance


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    modes.add_parser("write", help="write the fixtures")
    check = modes.add_parser("check", help="compare adapter folders with PEFT")
    check.add_argument("--model", type=Path, required=True, help="folder of the base model")
    check.add_argument("--input", type=Path, required=True, help="safetensors with pixel_values")
    check.add_argument("--adapter", type=Path, action="append", required=True, help="adapter folder (repeatable)")
    check.add_argument("--output", type=Path, action="append", required=True, help="its safetensors with logits")
    check.add_argument("--tolerance", type=float, default=1e-4)
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.mode == "write":
        for seed, (name, config) in enumerate(CONFIGS.items(), start=200):
            write_adapter(name, config, seed)
        write_published_names("lora-published-names", source="lora")
        return 0
    if len(options.adapter) != len(options.output):
        print("--adapter and --output come in pairs", file=sys.stderr)
        return 2
    pixel_values = load_file(options.input)["pixel_values"]
    results = [
        check_adapter(options.model, adapter, pixel_values, load_file(output)["logits"], options.tolerance)
        for adapter, output in zip(options.adapter, options.output)
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
