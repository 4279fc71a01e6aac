"""PyTorch's side of `deno task bench`: one measurement a process, told as JSON on the command line, answered as JSON.

    python torch_peer.py '{"kind": "step", "config": {...}, "method": "1lora", "batch": 10, "precision": "float32", ...}'
    python torch_peer.py '{"kind": "product", "shapes": [[1024, 1024, 1024]], "precision": "bf16", "repeats": 5}'

1LoRA is the paper's Listing 1, LoRA, DoRA and VeRA are Hugging Face PEFT's, BitFit and full training are PyTorch alone;
the model is transformers' ViT, the classifier is trained with every method. bf16 is autocast, PyTorch's own way to it;
with "storesHalf" the frozen matrices are also kept in bf16, which autocast would make of them in every step.
"""

import json
import os
import sys
import time
from typing import Callable

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import numpy
import torch
from peft import LoraConfig, PeftConfig, VeraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import ViTConfig, ViTForImageClassification
from transformers.utils import logging

logging.disable_progress_bar()


class ILoRA(nn.Module):
    """Listing 1 of the paper."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear
        self.b = nn.Parameter(torch.zeros(self.linear.out_features))

    def forward(self, x: Tensor) -> Tensor:
        ilora = self.b * x.sum(-1, keepdim=True)
        return self.linear(x) + ilora


def linears(model: nn.Module) -> list[str]:
    """Every linear layer but the classifier."""
    found = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    return [name for name in found if not name.startswith("classifier")]


def one_lora(model: nn.Module) -> nn.Module:
    for name in linears(model):
        model.set_submodule(name, ILoRA(model.get_submodule(name)))
    return model


def trains_all(model: nn.Module) -> nn.Module:
    return model.requires_grad_(True)


def bitfit(model: nn.Module) -> nn.Module:
    for name in linears(model):
        model.get_submodule(name).bias.requires_grad_(True)
    return model


def peft(config: Callable[..., PeftConfig], **options: float | bool) -> Callable[[nn.Module], nn.Module]:
    def adapt(model: nn.Module) -> nn.Module:
        return get_peft_model(model, config(target_modules=linears(model), modules_to_save=["classifier"], **options))

    return adapt


METHODS = {
    "1lora": one_lora,
    "lora": peft(LoraConfig, r=1, lora_alpha=1),
    "dora": peft(LoraConfig, r=1, lora_alpha=1, use_dora=True),
    "vera": peft(VeraConfig, r=1, d_initial=0.1),
    "bitfit": bitfit,
    "all": trains_all,
}


def store_half(model: nn.Module) -> None:
    """Keeps frozen matrices in bf16; norms stay in float32, as PyTorch's kernels want them."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            for parameter in module.parameters(recurse=False):
                if not parameter.requires_grad:
                    parameter.data = parameter.data.bfloat16()


def memory(field: str) -> int:
    """Bytes in memory now (VmRSS) or at most so far (VmHWM); where there is no /proc, at most so far."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))
    except FileNotFoundError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def example(config: ViTConfig, batch: int) -> tuple[Tensor, Tensor]:
    """The batch that every engine is given: pixel i is sin(i), label i is i modulo the classes."""
    sides = config.image_size if isinstance(config.image_size, (list, tuple)) else [config.image_size] * 2
    shape = (batch, config.num_channels, *sides)
    pixels = numpy.sin(numpy.arange(numpy.prod(shape), dtype=numpy.float64)).astype(numpy.float32)
    return torch.from_numpy(pixels.reshape(shape)), torch.arange(batch) % config.num_labels


def timed(job: dict, base: int, model: nn.Module, loss_of: Callable[[nn.Module], Tensor], forward: bool = False) -> dict:
    """Times training steps with AdamW, or forward passes alone."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=job["rate"], weight_decay=job["weightDecay"])
    half = job["precision"] == "bf16"
    seconds, losses = [], []
    for index in range(job["warmup"] + job["repeats"]):
        began = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half), torch.set_grad_enabled(not forward):
            loss = loss_of(model)
        if not forward:
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
        losses.append(loss.item())
        if index >= job["warmup"]:
            seconds.append(time.perf_counter() - began)
    return {
        "engine": f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads",
        "seconds": seconds,
        "losses": losses,
        "trained": sum(parameter.numel() for parameter in trained),
        "baseBytes": base,
        "peakBytes": memory("VmHWM"),
    }


def step(job: dict) -> dict:
    """Times training steps: forward, backward, AdamW."""
    torch.ones(2).add(1)
    base = memory("VmRSS")
    torch.manual_seed(0)
    config = ViTConfig.from_dict(job["config"])
    if job.get("folder") is None:
        model = ViTForImageClassification(config)
    else:
        model = ViTForImageClassification.from_pretrained(job["folder"], dtype=torch.float32)
    model = METHODS[job["method"]](model.requires_grad_(False)).train()
    for name, parameter in model.named_parameters():
        if "classifier" in name and "original_module" not in name:
            parameter.requires_grad_(True)
    if job.get("storesHalf"):
        store_half(model)
    pixels, labels = example(config, job["batch"])
    return timed(job, base, model, lambda model: cross_entropy(model(pixels).logits, labels))


def family(job: dict) -> dict:
    """Times training steps, or forward passes, of a model of another family."""
    from torch_families import FAMILIES

    torch.ones(2).add(1)
    base = memory("VmRSS")
    torch.manual_seed(0)
    model, loss_of = FAMILIES[job["family"]](job)
    return timed(job, base, one_lora(model.requires_grad_(False)), loss_of, forward=job["what"] == "forward")


def product(job: dict) -> dict:
    """Times matrix products [n, k] by [k, m]."""
    dtype = torch.bfloat16 if job["precision"] == "bf16" else torch.float32
    products = []
    for n, k, m in job["shapes"]:
        a, b = torch.ones(n, k, dtype=dtype), torch.ones(k, m, dtype=dtype)
        seconds = []
        for _ in range(1 + job["repeats"]):
            began = time.perf_counter()
            a @ b
            seconds.append(time.perf_counter() - began)
        products.append({"shape": [n, k, m], "seconds": seconds[1:]})
    return {"engine": f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", "products": products}


if __name__ == "__main__":
    JOB = json.loads(sys.argv[1])
    print(json.dumps({"step": step, "family": family, "product": product}[JOB["kind"]](JOB)))
