"""PyTorch's side of `scripts/tools/gpu.ts`: jobs as a JSON list on standard input, an answer a line, in one process.

Steps are timed between CUDA events, memory is the allocator's peak, float32 products use TF32 as TensorFlow's do, AdamW is the
fused one, bf16 is autocast; the batch lies on the card.
"""

import gc
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))

import torch
import torch_families
import torch_peer
from torch import nn
from torch.nn.functional import cross_entropy

torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


def vit(job):
    config = torch_peer.ViTConfig.from_dict(job["config"])
    model = torch_peer.METHODS[job["method"]](torch_peer.ViTForImageClassification(config).requires_grad_(False))
    for name, parameter in model.named_parameters():
        if "classifier" in name and "original_module" not in name:
            parameter.requires_grad_(True)
    pixels, labels = (tensor.cuda() for tensor in torch_peer.example(config, job["batch"]))
    return model, lambda run: cross_entropy(run(pixels).logits, labels)


def family(job):
    with torch.device("cuda"):
        model, loss = torch_families.FAMILIES[job["family"]]({**job, "what": "step"})
    model.requires_grad_(False)
    for name in [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and name != "lm_head"]:
        model.set_submodule(name, torch_peer.ILoRA(model.get_submodule(name)))

    def on_card(run):
        with torch.device("cuda"):
            return loss(run)

    return model, on_card


def measure(job):
    began = time.perf_counter()
    model, loss_of = (vit if job["family"] == "vit" else family)(job)
    model = model.cuda().train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.01, fused=True)
    run = torch.compile(model) if job["how"] == "compiled" else model
    torch.cuda.reset_peak_memory_stats()
    losses, spans, first = [], [], None
    for step in range(4 + job["repeats"]):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=job["precision"] == "bf16"):
            loss = loss_of(run)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
        end.record()
        torch.cuda.synchronize()
        first = first or time.perf_counter() - began
        if step >= 4:
            spans.append(start.elapsed_time(end))
    spans.sort()
    return {
        "first": first,
        "ms": spans[len(spans) // 2],
        "least": spans[0],
        "losses": losses[:3],
        "bytes": torch.cuda.max_memory_allocated(),
    }


print(f"PyTorch {torch.__version__} on {torch.cuda.get_device_name()}", file=sys.stderr, flush=True)
for job in json.load(sys.stdin):
    torch.manual_seed(0)
    try:
        answer = measure(job)
    except Exception as error:
        answer = {"failed": f"{type(error).__name__}: {str(error)[:200]}"}
    print(json.dumps(answer), flush=True)
    gc.collect()
    torch.cuda.empty_cache()
    torch._dynamo.reset()
