"""Reference for diffusion: tables, loss and samplers in float64 from the papers' formulas, checked against diffusers.

Run: python scripts/tools/reference/diffusion.py
Writes tests/fixtures/diffusion/expected.safetensors and schedules.json.

Ho et al. 2020 (DDPM), Nichol and Dhariwal 2021 (learned variance, respacing, the hybrid loss), Song et al. 2020 (DDIM), Ho and
Salimans 2022 (guidance). Where diffusers has the same, the numbers here must equal its own: an assertion, not a hope.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parents[3] / "tests" / "fixtures" / "diffusion"
T = 1000
torch.manual_seed(5)
torch.use_deterministic_algorithms(True)


class Process:
    """The tables of a process; `timesteps` is what the model is told."""

    def __init__(self, betas, timesteps):
        self.betas, self.timesteps = betas, timesteps
        self.alphas = 1 - betas
        self.bar = np.cumprod(self.alphas)
        self.previous = np.append(1.0, self.bar[:-1])
        self.variance = betas * (1 - self.previous) / (1 - self.bar)
        self.log_variance = np.log(np.append(self.variance[1], self.variance[1:]))

    def respaced(self, kept):
        bar = self.bar[kept]
        return Process(1 - bar / np.append(1.0, bar[:-1]), self.timesteps[kept])


def even(count):
    """Evenly spaced from first to last, positions summed up and rounded as Python rounds."""
    kept, place = [], 0.0
    for _ in range(count):
        kept.append(round(place))
        place += (T - 1) / (count - 1)
    return np.array(kept)


def stride(count):
    return next(np.arange(0, T, s) for s in range(1, T) if len(range(0, T, s)) == count)


full = Process(np.linspace(1e-4, 0.02, T), np.arange(T))


def log_cdf_pair(z_above, z_below):
    """The tanh approximation of the normal distribution function, at the ends of a level's interval."""
    cdf = lambda x: 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return cdf(z_above), cdf(z_below)


def loss_terms(output, clean, noise, steps):
    """The hybrid loss of Nichol and Dhariwal, written out: means and variances of q and p, not their differences."""
    pick = lambda table: torch.tensor(np.asarray(table)[steps])[:, None, None, None]
    bar, previous, betas = pick(full.bar), pick(full.previous), pick(full.betas)
    x = bar.sqrt() * clean + (1 - bar).sqrt() * noise
    eps, v = output.chunk(2, 1)
    mse = ((noise - eps) ** 2).mean((1, 2, 3))

    frozen = eps.detach()
    smallest, largest = pick(full.log_variance), betas.log()
    share = (v + 1) / 2
    log_variance = share * largest + (1 - share) * smallest
    clean_factor = betas * previous.sqrt() / (1 - bar)
    noised_factor = (1 - previous) * (1 - betas).sqrt() / (1 - bar)
    predicted = (x - (1 - bar).sqrt() * frozen) / bar.sqrt()
    q_mean, p_mean = clean_factor * clean + noised_factor * x, clean_factor * predicted + noised_factor * x
    kl = 0.5 * (log_variance - smallest - 1 + (smallest - log_variance).exp() + (q_mean - p_mean) ** 2 / log_variance.exp())

    centred, deviation = clean - p_mean, (0.5 * log_variance).exp()
    above, below = log_cdf_pair((centred + 1 / 255) / deviation, (centred - 1 / 255) / deviation)
    floor = 1e-12
    nll = -torch.where(
        clean < -0.999,
        above.clamp(min=floor).log(),
        torch.where(clean > 0.999, (1 - below).clamp(min=floor).log(), (above - below).clamp(min=floor).log()),
    )
    first = torch.tensor(steps == 0)[:, None, None, None]
    vb = torch.where(first, nll, kl).mean((1, 2, 3)) / math.log(2)
    return x, mse, vb


def predictor(x, t, y):
    """A stand-in for a model that the tests can write down too: noise and variance of as many channels as x has."""
    y = torch.tensor(y, dtype=x.dtype)[:, None, None, None]
    return torch.cat([torch.tanh(0.7 * x + t / 2000 - 0.1 * y), torch.sin(2 * x + t / 300 + y)], 1)


def guided(x, t, y, scale, null, channels):
    conditional, unconditional = predictor(x, t, y), predictor(x, t, [null] * len(y))
    out = conditional.clone()
    out[:, :channels] = unconditional[:, :channels] + scale * (conditional[:, :channels] - unconditional[:, :channels])
    return out


def predicted_clean(p, i, x, eps, clip):
    clean = (x - math.sqrt(1 - p.bar[i]) * eps) / math.sqrt(p.bar[i])
    return clean.clamp(-1, 1) if clip else clean


def ddpm(p, i, output, x, noise, clip, learned=True):
    eps, v = output.chunk(2, 1)
    clean = predicted_clean(p, i, x, eps, clip)
    mean = p.betas[i] * math.sqrt(p.previous[i]) / (1 - p.bar[i]) * clean
    mean = mean + (1 - p.previous[i]) * math.sqrt(p.alphas[i]) / (1 - p.bar[i]) * x
    if i == 0:
        return mean
    share = (v + 1) / 2 if learned else torch.ones_like(v)
    return mean + (0.5 * (share * math.log(p.betas[i]) + (1 - share) * p.log_variance[i])).exp() * noise


def ddim(p, i, output, x, noise, clip, eta):
    clean = predicted_clean(p, i, x, output.chunk(2, 1)[0], clip)
    eps = (x - math.sqrt(p.bar[i]) * clean) / math.sqrt(1 - p.bar[i])
    sigma = eta * math.sqrt((1 - p.previous[i]) / (1 - p.bar[i]) * (1 - p.bar[i] / p.previous[i]))
    mean = math.sqrt(p.previous[i]) * clean + math.sqrt(1 - p.previous[i] - sigma**2) * eps
    return mean if i == 0 else mean + sigma * noise


def trajectory(p, advance, noises, labels):
    """x after every step; noises[k] is used k steps before the end, the last one at the start."""
    x, states = noises[len(p.betas)], []
    for i in reversed(range(len(p.betas))):
        x = advance(p, i, predictor(x, int(p.timesteps[i]), labels), x, noises[i])
        states.append(x)
    return torch.stack(states)


class Noises:
    """Feeds prepared noise to diffusers, which draws its own."""

    def __init__(self, noises, steps):
        self.left = [noises[i] for i in reversed(range(steps))]

    def __call__(self, *_, **__):
        return self.left.pop(0)


def diffusers_trajectory(kind, scheduler, p, noises, labels, monkey, **step):
    scheduler.set_timesteps(len(p.betas))
    assert scheduler.timesteps.tolist() == p.timesteps[::-1].tolist(), (scheduler.timesteps, p.timesteps)
    scheduler.alphas_cumprod = torch.tensor(full.bar)
    scheduler.betas, scheduler.alphas = torch.tensor(full.betas), torch.tensor(full.alphas)
    scheduler.one = scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    x, states, module = noises[len(p.betas)], [], monkey
    kept, module.randn_tensor = module.randn_tensor, Noises(noises, len(p.betas))
    try:
        for t in scheduler.timesteps:
            output = predictor(x, int(t), labels)
            x = scheduler.step(output if kind == "ddpm" else output.chunk(2, 1)[0], t, x, **step).prev_sample
            states.append(x)
    finally:
        module.randn_tensor = kept
    return torch.stack(states)


def main():
    import diffusers.schedulers.scheduling_ddim as ddim_module
    import diffusers.schedulers.scheduling_ddpm as ddpm_module

    tensors = {}
    single = lambda t: t.float().double()

    # Loss: steps that include both ends, images on and beyond the ends of the scale, variances beyond [-1, 1].
    steps = np.array([0, 0, 1, 17, 500, 999])
    clean = single(torch.randn(6, 2, 4, 4).mul(0.8).clamp(-1, 1))
    noise = single(torch.randn(6, 2, 4, 4))
    output = single(torch.cat([noise + 0.4 * torch.randn(6, 2, 4, 4), torch.randn(6, 2, 4, 4)], 1)).requires_grad_()
    x, mse, vb = loss_terms(output, clean, noise, steps)
    (mse + vb).mean().backward()
    assert (clean == 1).any() and (clean == -1).any()
    tensors |= {
        "loss.steps": torch.tensor(steps, dtype=torch.int32), "loss.clean": clean, "loss.noise": noise,
        "loss.output": output, "loss.noised": x, "loss.mse": mse, "loss.vb": vb, "loss.gradient": output.grad,
    }

    # Samplers. 8 of 1000 steps for DDPM; DDIM's strides.
    labels = [0, 3]
    noises = [single(torch.randn(2, 2, 4, 4)) for _ in range(9)]
    tensors["sample.noise"] = torch.stack(noises)
    evenly, strided = full.respaced(even(8)), full.respaced(stride(8))
    common = dict(beta_schedule="linear", beta_start=1e-4, beta_end=0.02, num_train_timesteps=T)
    for name, p, clip, learned in (
        ("ddpm", evenly, False, True), ("ddpm.clip", evenly, True, True), ("ddpm.fixed", evenly, False, False),
    ):
        ours = trajectory(p, lambda *a: ddpm(*a, clip, learned), noises, labels)
        tensors[f"sample.{name}"] = ours
        if learned:
            theirs = DDPMScheduler(
                **common, variance_type="learned_range", clip_sample=clip, timestep_spacing="linspace"
            )
            # diffusers takes the step before t to be t - T // count, which is right for its other spacings only.
            theirs.previous_timestep = lambda t, p=p: dict(zip(p.timesteps.tolist(), [-1, *p.timesteps.tolist()]))[int(t)]
            difference = diffusers_trajectory("ddpm", theirs, p, noises, labels, ddpm_module) - ours
            assert difference.abs().max() < 1e-9, (name, difference.abs().max())
    for name, eta, clip in (("ddim", 0.0, False), ("ddim.eta", 0.6, False), ("ddim.clip", 1.0, True)):
        ours = trajectory(strided, lambda *a: ddim(*a, clip, eta), noises, labels)
        tensors[f"sample.{name}"] = ours
        theirs = DDIMScheduler(**common, clip_sample=clip, set_alpha_to_one=True, timestep_spacing="leading")
        arguments = dict(eta=eta, use_clipped_model_output=clip)
        difference = diffusers_trajectory("ddim", theirs, strided, noises, labels, ddim_module, **arguments) - ours
        assert difference.abs().max() < 1e-9, (name, difference.abs().max())
    x = single(torch.randn(2, 4, 2, 2))
    tensors |= {
        "guided.x": x,
        "guided.first-three": guided(x, 321, labels, 1.5, 10, 3),
        "guided.all": guided(x, 321, labels, 1.5, 10, 4),
    }

    FOLDER.mkdir(parents=True, exist_ok=True)
    stored = {
        name: tensor.detach() if tensor.dtype == torch.int32 else tensor.detach().float().contiguous()
        for name, tensor in sorted(tensors.items())
    }
    save_file(stored, FOLDER / "expected.safetensors")
    table = lambda p, at: {
        name: [getattr(p, name)[i] for i in at] for name in ("betas", "bar", "variance", "log_variance")
    }
    at = [0, 1, 2, 500, 998, 999]
    schedules = {
        "full": {"at": at, **table(full, at)},
        "even": {str(count): even(count).tolist() for count in (2, 7, 8, 50, 55, 250, 1000)},
        "stride": {str(count): stride(count).tolist() for count in (8, 50, 250, 1000)},
        "respaced": {"at": [0, 1, 2, 7], **table(evenly, [0, 1, 2, 7])},
    }
    (FOLDER / "expected.safetensors").chmod(0o644)
    (FOLDER / "schedules.json").write_text(json.dumps(schedules) + "\n")
    print({name: list(t.shape) for name, t in stored.items()})


if __name__ == "__main__":
    main()
