"""What PyTorch keeps for a step's backward pass, without a card and without computing: weights, and the tensors that autograd saves
under autocast, by fake tensors. The peak of its allocator lies above that by what the backward pass makes at its start.

    echo '[{"model": "dit-xl-2", "family": "dit", "config": {...}, "batch": 8, "length": 0, "precision": "bf16"}]' | python torch_saved.py

Jobs are those of `torch_cuda.py`, of the families; as there every linear layer has 1LoRA. Kernels are those of the CPU, whose
attention keeps what a card's keeps.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))

import torch
import torch_families
import torch_peer
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

# Weights have no numbers here, which drawing them looks at.
PreTrainedModel.init_weights = lambda self: None


def model_of(job):
    if job["family"] == "vit":
        config = torch_peer.ViTConfig.from_dict(job["config"])
        model = torch_peer.ViTForImageClassification(config)
        pixels, labels = torch_peer.example(config, job["batch"])
        loss = lambda run: cross_entropy(run(pixels).logits, labels)
    else:
        model, loss = torch_families.FAMILIES[job["family"]]({**job, "what": "step"})
    model.requires_grad_(False)
    heads = ("lm_head", "classifier")
    for name in [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and name not in heads]:
        model.set_submodule(name, torch_peer.ILoRA(model.get_submodule(name)))
    return model.train(), loss


for job in json.load(sys.stdin):
    with FakeTensorMode(allow_non_fake_inputs=True):
        model, loss = model_of(job)
        seen, weights = set(), 0
        for tensor in [*model.parameters(), *model.buffers()]:
            storage = tensor.untyped_storage()
            key = StorageWeakRef(storage)
            if key not in seen:
                seen.add(key)
                weights += storage.nbytes()
        saved = 0
        kept = []

        def pack(tensor):
            global saved
            storage = tensor.untyped_storage()
            key = StorageWeakRef(storage)
            if key not in seen:
                seen.add(key)
                kept.append(storage)
                saved += storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=job["precision"] == "bf16"):
                value = loss(model)
    print(f"{job['model']} {job['batch']} x {job['length']}: {weights / 1e9:.2f} GB of weights, {saved / 1e9:.2f} GB saved", flush=True)
