"""A run of `train` on texts again in PyTorch: same weights, same batches, same rates; 1LoRA is the paper's Listing 1.

    deno run -P=train scripts/tools/real/curve.ts RUN     # writes RUN/batches.json
    python scripts/tools/real/curve.py MODEL RUN          # prints both losses of each step

Needs torch, transformers and peft. For `--adapter 1lora` and `bitfit` (biases of all linear layers), in float32.
"""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
from torch_peer import ILoRA  # the paper's Listing 1


def biased(linear: nn.Linear) -> nn.Linear:
    linear.bias = nn.Parameter(torch.zeros(linear.out_features))
    return linear


METHODS = {"1lora": ILoRA, "bitfit": biased}


def losses(model: nn.Module, batch: dict) -> tuple[Tensor, int]:
    """Sum over counted labels, and how many count."""
    ids, labels = torch.tensor(batch["ids"]), torch.tensor(batch["labels"])
    logits = model(input_ids=ids).logits[:, :-1].float()
    counted = int((labels[:, 1:] != -100).sum())
    return cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum", ignore_index=-100), counted


def main(folder: str, run: str) -> None:
    read = lambda name: json.loads((Path(run) / name).read_text())
    config, steps = read("config.json"), read("batches.json")
    lines = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    ours = [line for line in lines if "loss" in line and "lr" in line]
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().requires_grad_(False)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and name != "lm_head":
            model.set_submodule(name, METHODS[config["adapter"]](module))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1, weight_decay=config["weight-decay"])
    for line, parts in zip(ours, steps, strict=True):
        optimiser.zero_grad()
        found = [losses(model, part) for part in parts]
        loss = sum(total for total, _ in found) / sum(counted for _, counted in found)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, config["clip"] or float("inf"))
        optimiser.param_groups[0]["lr"] = line["lr"]
        optimiser.step()
        print(f"step {line['step']}: {loss:.6f}, we {line['loss']:.6f}, apart {abs(loss - line['loss']):.1e}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
