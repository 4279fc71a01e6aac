"""Samples that diffusers' DDIM and DDPM schedulers draw from a made-up model, for every setting of scheduler_config.json.

Writes tests/fixtures/schedulers.json: one object a case with the file's settings, the number of steps, the schedule's betas
(four of them), the steps that are kept, and x after each. The model is output = 0.3 x + bias[step]; noise and biases are in
the file too.
"""

import json

from common import FIXTURES

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.schedulers import scheduling_ddpm

SHAPE = (1, 2, 2, 2)
COUNT = 5
generator = torch.Generator().manual_seed(0)
START = torch.randn(SHAPE, generator=generator)
BIAS = [torch.randn(SHAPE, generator=generator) for _ in range(COUNT)]
# The variance half of a model that learns it.
RANGE = [torch.rand(SHAPE, generator=generator) * 2 - 1 for _ in range(COUNT)]
NOISE = [torch.randn(SHAPE, generator=generator) for _ in range(COUNT)]

CASES = [
    ("DDIMScheduler", {}),
    ("DDIMScheduler", {"clip_sample": False}),
    ("DDIMScheduler", {"clip_sample_range": 0.5}),
    ("DDIMScheduler", {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False}),
    ("DDIMScheduler", {"beta_schedule": "squaredcos_cap_v2", "clip_sample": False, "num_train_timesteps": 100}),
    ("DDIMScheduler", {"trained_betas": [0.01 * i for i in range(1, 21)], "clip_sample": False, "num_train_timesteps": 20}),
    ("DDIMScheduler", {"prediction_type": "v_prediction", "clip_sample": False}),
    ("DDIMScheduler", {"prediction_type": "v_prediction"}),
    ("DDIMScheduler", {"prediction_type": "sample"}),
    ("DDIMScheduler", {"prediction_type": "sample", "clip_sample": False}),
    ("DDIMScheduler", {"steps_offset": 1, "set_alpha_to_one": False, "clip_sample": False}),
    ("DDIMScheduler", {"timestep_spacing": "trailing", "clip_sample": False}),
    ("DDIMScheduler", {"timestep_spacing": "linspace", "clip_sample": False}),
    ("DDIMScheduler", {"timestep_spacing": "trailing", "steps_offset": 1, "num_train_timesteps": 37}),
    ("DDIMScheduler", {"timestep_spacing": "linspace", "steps_offset": 1, "num_train_timesteps": 37}),
    ("DDIMScheduler", {"num_train_timesteps": 37, "set_alpha_to_one": False, "clip_sample_range": 2.0}),
    ("DDPMScheduler", {"steps_offset": 1, "num_train_timesteps": 37}),
    ("DDPMScheduler", {"variance_type": "fixed_large", "timestep_spacing": "linspace", "num_train_timesteps": 37}),
    ("DDPMScheduler", {"variance_type": "fixed_small_log", "timestep_spacing": "trailing", "beta_schedule": "squaredcos_cap_v2"}),
    ("DDPMScheduler", {"variance_type": "learned_range", "prediction_type": "v_prediction", "num_train_timesteps": 37}),
    ("DDPMScheduler", {}),
    ("DDPMScheduler", {"variance_type": "fixed_small_log"}),
    ("DDPMScheduler", {"variance_type": "fixed_large", "clip_sample": False}),
    ("DDPMScheduler", {"variance_type": "learned_range", "clip_sample": False}),
    ("DDPMScheduler", {"prediction_type": "v_prediction", "beta_schedule": "sigmoid", "clip_sample": False}),
    ("DDPMScheduler", {"prediction_type": "sample", "timestep_spacing": "linspace"}),
    ("DDPMScheduler", {"timestep_spacing": "trailing", "clip_sample": False}),
]


def flat(x):
    return [float(f"{value:.8g}") for value in x.flatten().tolist()]


def run(name, settings):
    scheduler = {"DDIMScheduler": DDIMScheduler, "DDPMScheduler": DDPMScheduler}[name](**settings)
    scheduler.set_timesteps(COUNT)
    x, states = START, []
    for i, t in enumerate(scheduler.timesteps):
        output = 0.3 * x + BIAS[i]
        if settings.get("variance_type") == "learned_range":
            output = torch.cat([output, RANGE[i]], 1)
        scheduling_ddpm.randn_tensor = lambda *_, **__: NOISE[i]
        x = scheduler.step(output, t, x).prev_sample
        states.append(flat(x))
    betas = scheduler.betas
    return {
        "config": {"_class_name": name, **settings},
        "betas": [float(f"{betas[i].item():.8g}") for i in (0, 1, len(betas) // 2, len(betas) - 1)],
        "timesteps": scheduler.timesteps.tolist(),
        "states": states,
    }


out = {
    "shape": SHAPE,
    "start": flat(START),
    "bias": [flat(x) for x in BIAS],
    "range": [flat(x) for x in RANGE],
    "noise": [flat(x) for x in NOISE],
    "cases": [run(*case) for case in CASES],
}
(FIXTURES / "schedulers.json").write_text(json.dumps(out) + "\n")
