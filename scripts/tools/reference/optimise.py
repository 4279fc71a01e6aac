"""Trajectories of PyTorch's optimisers and schedules, for tests/dsl/optimise_reference_test.ts.

Run: python scripts/tools/reference/optimise.py
"""

import json
from pathlib import Path

import numpy as np
import torch
import transformers

STEPS = 20
torch.manual_seed(0)
shapes = {"a.weight": (3, 4), "a.bias": (3,), "gain": ()}
initial = {name: torch.randn(shape) for name, shape in shapes.items()}
# Gradients of very different sizes, and an exact zero.
gradients = [{name: torch.randn(shape) * 10 ** float(torch.randn(())) for name, shape in shapes.items()} for _ in range(STEPS)]
gradients[3]["a.bias"].zero_()


def plain(tree):
    return {name: [float(f"{v:.8g}") for v in t.detach().numpy().astype(np.float32).flatten()] for name, t in tree.items()}


def trajectory(make, clip=None, schedule=None, average=None):
    params = {name: t.clone().requires_grad_() for name, t in initial.items()}
    optimiser = make(params)
    scheduler = schedule(optimiser) if schedule else None
    ema = torch.optim.swa_utils.AveragedModel(
        torch.nn.ParameterList(params.values()), multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(average)
    ) if average else None
    steps = []
    for step in range(STEPS):
        for name, p in params.items():
            p.grad = gradients[step][name].clone()
        record = {"rate": optimiser.param_groups[0]["lr"]}
        if "betas" in optimiser.param_groups[0]:
            record["momentum"] = optimiser.param_groups[0]["betas"][0]
        if clip:
            record["norm"] = float(torch.nn.utils.clip_grad_norm_(params.values(), clip))
        optimiser.step()
        if scheduler:
            scheduler.step()
        steps.append(record)
        # The full path is determined by its rates; parameters at some steps pin it down.
        if step in (0, 1, 4, STEPS - 1):
            record["params"] = plain(params)
    result = {"steps": steps}
    if average:
        # The first update of AveragedModel copies, so later ones start from the initial values.
        ema.update_parameters(torch.nn.ParameterList(initial.values()))
        for _ in range(3):
            ema.update_parameters(torch.nn.ParameterList(params.values()))
        result["average"] = plain(dict(zip(params, ema.module)))
    return result


def adamw(**options):
    return lambda params: torch.optim.AdamW(params.values(), **options)


def adamw_groups(params):
    decays = [p for p in params.values() if p.ndim > 1]
    others = [p for p in params.values() if p.ndim <= 1]
    return torch.optim.AdamW([{"params": decays, "weight_decay": 0.3}, {"params": others, "weight_decay": 0}], lr=0.01)


def sgd(**options):
    return lambda params: torch.optim.SGD(params.values(), **options)


def one_cycle(optimiser):
    return torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.02, total_steps=STEPS, pct_start=0.4)


optimisers = {
    "adamw": trajectory(adamw(lr=0.01)),
    "adamw with other settings": trajectory(adamw(lr=0.003, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1)),
    "adamw that decays matrices only": trajectory(adamw_groups),
    "adamw, clipped, one cycle": trajectory(adamw(lr=0.01), clip=1.0, schedule=one_cycle),
    "sgd": trajectory(sgd(lr=0.01), average=0.9),
    "sgd with momentum and decay": trajectory(sgd(lr=0.01, momentum=0.9, weight_decay=0.1)),
    "sgd with Nesterov momentum": trajectory(sgd(lr=0.01, momentum=0.8, nesterov=True), clip=100.0),
}


def rates(schedule, key=lambda group: group["lr"]):
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = schedule(optimiser)
    found = []
    for _ in range(50):
        found.append(key(optimiser.param_groups[0]))
        optimiser.step()
        scheduler.step()
    return found


def cycle(steps=51, **options):
    return lambda optimiser: torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=1.0, total_steps=steps, **options)


beta1 = lambda group: group["betas"][0]
depth = dict(pct_start=0.7, div_factor=1, final_div_factor=1e4)
schedules = {
    "constant": rates(lambda o: transformers.get_constant_schedule_with_warmup(o, 7)),
    "linear": rates(lambda o: transformers.get_linear_schedule_with_warmup(o, 7, 45)),
    "linear without warm-up": rates(lambda o: transformers.get_linear_schedule_with_warmup(o, 0, 50)),
    "cosine": rates(lambda o: transformers.get_cosine_schedule_with_warmup(o, 5, 50)),
    "one-cycle": rates(cycle()),
    "one-cycle momentum": rates(cycle(), beta1),
    "one-cycle as Depth Anything": rates(cycle(**depth)),
    "one-cycle momentum as Depth Anything": rates(cycle(**depth), beta1),
}

path = Path(__file__).parents[3] / "tests" / "fixtures" / "optimise.json"
plain_gradients = [plain(g) for g in gradients]
document = {
    "shapes": shapes,
    "initial": plain(initial),
    "gradients": plain_gradients,
    "optimisers": optimisers,
    "schedules": schedules,
}
path.write_text(json.dumps(document, separators=(",", ":")) + "\n")
print(f"{path.name}: {path.stat().st_size} bytes")
