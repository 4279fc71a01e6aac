"""Exchange of adapters with Hugging Face PEFT, both ways.

    python peft_exchange.py write
        writes tests/fixtures/{peft,depth-peft,dit-peft,llama-peft}/METHOD/{adapter_config.json,adapter_model.safetensors,expected.safetensors}
    python peft_exchange.py check --model DIR --input FILE --adapter DIR --output FILE [--adapter DIR --output FILE ...]
        loads adapter folders in PEFT; exits with 1 unless each has every key and PEFT's output equals the given one
    python peft_exchange.py check --model DIR --input FILE --output FILE
        loads a plain model, such as `deno task merge` writes; exits with 1 unless its output equals the given one
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DiTTransformer2DModel
from peft import (
    IA3Config,
    LoraConfig,
    MissConfig,
    PeftConfig,
    PeftModel,
    VeraConfig,
    get_peft_model,
    get_peft_model_state_dict,
)
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoConfig,
    DepthAnythingForDepthEstimation,
    LlamaForCausalLM,
    PreTrainedModel,
    ViTForImageClassification,
)

from common import FIXTURES, normal, published, save, single

LEAVES = ["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"]

CLASSES = {
    "DiTTransformer2DModel": DiTTransformer2DModel,
    "AutoencoderKL": AutoencoderKL,
    "vit": ViTForImageClassification,
    "depth_anything": DepthAnythingForDepthEstimation,
    "llama": LlamaForCausalLM,
}

# What each kind of model writes, and how it is called in Python.
OUTPUTS = {"logits": "logits", "predicted_depth": "predicted_depth", "output": "sample", "mean": "latent_dist"}

# What diffusers calls the inputs.
RENAMED = {"latents": "hidden_states", "timesteps": "timestep", "labels": "class_labels"}

VIT = {
    "lora": LoraConfig(r=2, lora_alpha=8, target_modules=LEAVES),
    "lora-qkv": LoraConfig(r=1, lora_alpha=2, target_modules=["q_proj", "k_proj", "v_proj"]),
    "rslora": LoraConfig(r=4, lora_alpha=8, use_rslora=True, target_modules=LEAVES),
    "dora": LoraConfig(r=2, lora_alpha=8, use_dora=True, target_modules=LEAVES),
    "vera": VeraConfig(r=3, target_modules=LEAVES),
    "miss": MissConfig(r=1, init_weights=True, target_modules="all-linear"),
    "ia3": IA3Config(target_modules=LEAVES, feedforward_modules=["fc2"]),
}

DEPTH = {
    "lora": LoraConfig(r=2, lora_alpha=8, target_modules=LEAVES),
    "dora": LoraConfig(r=1, lora_alpha=1, use_dora=True, target_modules="all-linear"),
    "vera": VeraConfig(r=2, target_modules="all-linear"),
    "miss": MissConfig(r=1, init_weights=True, target_modules="all-linear"),
}

# Every linear layer but the embedders, of which each block has its own in diffusers; they hold the same label table.
DIT_LEAVES = ["to_q", "to_k", "to_v", "to_out.0", "net.0.proj", "net.2", "norm1.linear", "proj_out_1", "proj_out_2"]
DIT = {
    "lora": LoraConfig(r=2, lora_alpha=8, target_modules=DIT_LEAVES),
    "lora-qkv": LoraConfig(r=1, lora_alpha=2, target_modules=["to_q", "to_k", "to_v"]),
    "dora": LoraConfig(r=1, lora_alpha=1, use_dora=True, target_modules=DIT_LEAVES),
    "vera": VeraConfig(r=2, target_modules=DIT_LEAVES),
    "miss": MissConfig(r=1, init_weights=True, target_modules=DIT_LEAVES),
}

# PEFT's "all-linear" leaves the output layer out, as ours does.
LLAMA = {
    "lora": LoraConfig(r=2, lora_alpha=8, target_modules="all-linear"),
    "lora-qkv": LoraConfig(r=1, lora_alpha=2, target_modules=["q_proj", "k_proj", "v_proj"], task_type="CAUSAL_LM"),
    "dora": LoraConfig(r=1, lora_alpha=1, use_dora=True, target_modules="all-linear"),
    "vera": VeraConfig(r=2, target_modules="all-linear"),
    "miss": MissConfig(r=1, init_weights=True, target_modules="all-linear"),
}


def load_model(folder: Path) -> torch.nn.Module:
    config = json.loads((folder / "config.json").read_text())
    kind = CLASSES[config.get("model_type") or config["_class_name"]]
    # Eager attention would take its softmax in float32; a depth model leaves the choice to its backbone, which does not.
    has_choice = issubclass(kind, PreTrainedModel) and kind is not DepthAnythingForDepthEstimation
    return kind.from_pretrained(folder, **({"attn_implementation": "sdpa"} if has_choice else {})).eval()


def load_inputs(file: Path, model: torch.nn.Module) -> dict[str, Tensor]:
    """What a model reads of the tensors in a file."""
    tensors = load_file(file)
    names = ["pixel_values", "input_ids", "attention_mask"]
    if isinstance(model, DiTTransformer2DModel):
        names = list(RENAMED)
    return {
        RENAMED.get(name, name): tensors[name] if tensors[name].is_floating_point() else tensors[name].long()
        for name in names
        if name in tensors
    }


def load_output(file: Path) -> Tensor:
    """What a model wrote to a file."""
    tensors = load_file(file)
    return next(tensors[name] for name in OUTPUTS if name in tensors)


def output_of(model: torch.nn.Module, inputs: dict[str, Tensor]) -> tuple[str, Tensor]:
    """The output with its name, zero at padding."""
    with torch.no_grad():
        outputs = model.encode(inputs["pixel_values"]) if isinstance(model, AutoencoderKL) else model(**inputs)
    name, field = next((name, field) for name, field in OUTPUTS.items() if field in outputs)
    output = outputs[field].mean if name == "mean" else outputs[field]
    return name, output * inputs["attention_mask"][..., None] if "attention_mask" in inputs else output


def unite(model: torch.nn.Module) -> None:
    """Gives all copies of DiT's label table that PEFT would train the values of the first."""
    tables = [parameter for key, parameter in model.named_parameters() if "embedding_table.modules_to_save" in key]
    for table in tables:
        table.data.copy_(tables[0])


def write_adapter(base_name: str, group: str, name: str, config: PeftConfig, seed: int) -> None:
    """One adapter folder with random values, exactly as PEFT writes it but for the order of its targets."""
    folder = FIXTURES / group / name
    torch.manual_seed(seed)
    base = load_model(FIXTURES / base_name)
    # PEFT would record this machine's path.
    base.name_or_path = base_name
    model = get_peft_model(base, config)
    generator = torch.Generator().manual_seed(seed)
    for key, parameter in sorted(model.named_parameters()):
        if parameter.requires_grad:
            scale = 0.5 if "vera_lambda" in key else 0.15
            parameter.data.copy_(single(parameter + normal(generator, parameter.shape, scale)))
    unite(model)
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink()

    saved = json.loads((folder / "adapter_config.json").read_text())
    # PEFT writes a Python set, in an order that changes from run to run.
    for field in ["target_modules", "feedforward_modules"]:
        if field in saved:
            saved[field].sort()
    (folder / "adapter_config.json").write_text(json.dumps(saved, indent=2, sort_keys=True))

    inputs = load_inputs(FIXTURES / base_name / "expected.safetensors", base)
    doubled = {key: tensor.double() if tensor.is_floating_point() else tensor for key, tensor in inputs.items()}
    save(folder / "expected.safetensors", dict([output_of(model.double().eval(), doubled)]))


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


def agree(name: Path, model: torch.nn.Module, inputs: dict[str, Tensor], output: Tensor, tolerance: float) -> bool:
    """Prints by how much the output differs; true if by at most the tolerance."""
    if "attention_mask" in inputs:
        output = output * inputs["attention_mask"][..., None]
    kind, expected = output_of(model, inputs)
    difference = (expected - output).abs().max().item()
    print(f"{name}: {kind} differ by at most {difference:.2e} (tolerance {tolerance:.0e})")
    return difference <= tolerance


def check_adapter(model: Path, adapter: Path, inputs: dict[str, Tensor], output: Tensor, tolerance: float) -> bool:
    """Prints what it found; true if PEFT missed no key and its output differs by at most the tolerance."""
    try:
        adapted = PeftModel.from_pretrained(load_model(model), adapter).eval()
    except ValueError as error:
        print(f"{adapter}: {error}")
        return False
    saved = set(load_file(adapter / "adapter_model.safetensors"))
    wanted = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    for key in sorted(saved ^ wanted):
        print(f"{adapter}: {key} is {'ignored by PEFT' if key in saved else 'missing'}")
    return agree(adapter, adapted, inputs, output, tolerance) and wanted <= saved


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    modes.add_parser("write", help="write the fixtures")
    check = modes.add_parser("check", help="compare adapter folders with PEFT, or a model with transformers")
    check.add_argument("--model", type=Path, required=True, help="folder of the base model")
    check.add_argument("--input", type=Path, required=True, help="safetensors with the inputs")
    check.add_argument("--adapter", type=Path, action="append", default=[], help="adapter folder (repeatable)")
    check.add_argument("--output", type=Path, action="append", required=True, help="its safetensors with the output")
    check.add_argument("--tolerance", type=float, default=1e-4)
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.mode == "write":
        for seed, (name, config) in enumerate(VIT.items(), start=200):
            config.modules_to_save = ["classifier"]
            write_adapter("vit-rgb", "peft", name, config, seed)
        write_published_names("lora-published-names", source="lora")
        for seed, (name, config) in enumerate(LLAMA.items(), start=300):
            write_adapter("llama-grouped", "llama-peft", name, config, seed)
        for seed, (name, config) in enumerate(DEPTH.items(), start=400):
            write_adapter("depth-metric", "depth-peft", name, config, seed)
        for seed, (name, config) in enumerate(DIT.items(), start=500):
            config.modules_to_save = ["embedding_table"]
            write_adapter("dit-diffusers", "dit-peft", name, config, seed)
        return 0
    inputs = load_inputs(options.input, load_model(options.model))
    if not options.adapter and len(options.output) == 1:
        output = load_output(options.output[0])
        return 0 if agree(options.model, load_model(options.model), inputs, output, options.tolerance) else 1
    if len(options.adapter) != len(options.output):
        print("--adapter and --output come in pairs", file=sys.stderr)
        return 2
    results = [
        check_adapter(options.model, adapter, inputs, load_output(output), options.tolerance)
        for adapter, output in zip(options.adapter, options.output)
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
