"""Every adapter method on a model of any family, at a random point and over ten AdamW steps.

LoRA, rsLoRA, DoRA, VeRA, IA3 and MiSS are Hugging Face PEFT's; the rest are the modules of adapted_linear.py.
"""

import copy
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import torch
from peft import IA3Config, LoraConfig, MissConfig, PeftConfig, VeraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from adapted_linear import AdaptedLinear, Mora1, Mora6, OneLora
from common import normal, save, single

ADAMW = {"lr": 0.01, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01}
STEPS = 10

# PEFT's parameter names -> ours.
PEFT_NAMES = {
    "lora_magnitude_vector.default.weight": "m",
    "lora_A.default.weight": "A",
    "lora_B.default.weight": "B",
    "vera_lambda_b.default": "b",
    "vera_lambda_d.default": "d",
    "miss_block.default": "D",
}


@dataclass
class Family:
    """A model to adapt: where it comes from, which of its linear layers are adapted, what is computed with it."""

    base: str
    """Its folder in the fixtures."""
    load: Callable[[], nn.Module]
    """The model in float64."""
    plain: Callable[[], nn.Module]
    """The same, with a bias in every adapted layer (zero where it had none), for merged weights."""
    linears: list[str]
    """Last names of the adapted layers."""
    count: int
    """How many there are."""
    published: Callable[[str], str]
    """The published path of a module or parameter, as our paths are."""
    run: Callable[[nn.Module], tuple[Tensor, Tensor]]
    """The output and the loss on the fixture's batch."""
    head: str | None = None
    """A module that is trained whole, besides."""


@dataclass
class Adapted:
    """A model in training: its forward, its named trainable and frozen tensors, and its merged linears."""

    model: nn.Module
    trainable: dict[str, nn.Parameter]
    frozen: dict[str, Tensor]
    merged: Callable[[], dict[str, Tensor]]


@dataclass
class Method:
    """How to adapt a model; `options` is what methods.json says about it."""

    adapt: Callable[[Family, nn.Module], Adapted]
    options: dict[str, int | float | str] = field(default_factory=dict)


def path_of(family: Family, name: str) -> str:
    return family.published(name.removeprefix("base_model.model."))


def linears_of(family: Family, model: nn.Module, kinds: type | tuple[type, ...]) -> dict[str, nn.Module]:
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, kinds) and name.split(".")[-1] in family.linears
    }
    assert len(found) == family.count
    return found


def in_head(family: Family, path: str) -> bool:
    return family.head is not None and path.startswith(f"{family.head}.")


def by_hand(
    delta: Callable[[nn.Linear], nn.Module] | None = None,
    adapter: str = "",
    bias: bool = False,
    scale: bool = False,
    train: Callable[[str], bool] = lambda path: False,
) -> Method:
    """Wraps every linear layer (if anything is to be added there); trains base parameters where `train(path)`."""

    def adapt(family: Family, model: nn.Module) -> Adapted:
        base = {path_of(family, name): parameter for name, parameter in model.named_parameters()}
        for path, parameter in base.items():
            parameter.requires_grad_(in_head(family, path) or train(path))
        trainable = {path: parameter for path, parameter in base.items() if parameter.requires_grad}
        frozen = {}
        layers = {}
        wrapped = linears_of(family, model, nn.Linear) if delta or bias or scale else {}
        for name, linear in wrapped.items():
            layer = AdaptedLinear(linear, delta(linear) if delta else None, bias, scale)
            model.set_submodule(name, layer)
            layers[path_of(family, name)] = layer
            if delta:
                own = f"{path_of(family, name)}.{adapter}"
                trainable |= {f"{own}.{key}": parameter for key, parameter in layer.delta.named_parameters()}
                frozen |= {f"{own}.{key}": buffer for key, buffer in layer.delta.named_buffers()}
            if bias:
                trainable[f"{path_of(family, name)}.bias.beta"] = layer.beta
            if scale:
                trainable[f"{path_of(family, name)}.scale.gamma"] = layer.gamma

        def merged() -> dict[str, Tensor]:
            pairs = {path: zip(("weight", "bias"), layer.merged()) for path, layer in layers.items()}
            return {f"{path}.{part}": tensor for path, pair in pairs.items() for part, tensor in pair}

        return Adapted(model, trainable, frozen, merged)

    return Method(adapt)


def by_peft(adapter: str, config: PeftConfig, **options: int | float) -> Method:
    """Hugging Face PEFT on every linear layer, with the head, if there is one to train, in `modules_to_save`."""

    def adapt(family: Family, model: nn.Module) -> Adapted:
        # By their whole names: the last ones may be those of other modules too.
        config.target_modules = list(linears_of(family, model, nn.Linear))
        config.modules_to_save = [family.head] if family.head else None
        model = get_peft_model(model, copy.deepcopy(config)).double().eval()

        def ours(name: str, parameter: nn.Parameter) -> str:
            path = path_of(family, name).replace("modules_to_save.default.", "")
            # Factors of inputs are a row, factors of outputs a column.
            path = path.replace("ia3_l.default", "ia3.l_in" if parameter.shape[0] == 1 else "ia3.l_out")
            for theirs, key in PEFT_NAMES.items():
                path = path.replace(theirs, f"{adapter}.{key}")
            return path

        trainable = {
            ours(name, parameter): parameter for name, parameter in model.named_parameters() if parameter.requires_grad
        }
        frozen = {}
        if adapter == "vera":
            frozen = {"vera.A": model.base_model.vera_A["default"], "vera.B": model.base_model.vera_B["default"]}

        def merged() -> dict[str, Tensor]:
            layers = linears_of(family, copy.deepcopy(model).merge_and_unload(), nn.Linear)
            return {
                f"{path_of(family, name)}.{part}": tensor
                for name, layer in layers.items()
                for part, tensor in layer.named_parameters()
            }

        linears_of(family, model, BaseTunerLayer)
        return Adapted(model, trainable, frozen, merged)

    return Method(adapt, options)


def lora(rank: int, alpha: int, **kwargs: bool) -> Method:
    scaling = alpha / math.sqrt(rank) if kwargs.get("use_rslora") else alpha / rank
    config = LoraConfig(r=rank, lora_alpha=alpha, **kwargs)
    adapter = "dora" if kwargs.get("use_dora") else "lora"
    return by_peft(adapter, config, rank=rank, alpha=alpha, scaling=scaling)


def vera(rank: int) -> Method:
    return by_peft("vera", VeraConfig(r=rank, d_initial=0.1), rank=rank)


def one_lora_random(linear: nn.Linear) -> nn.Module:
    return OneLora(linear, torch.randn(linear.in_features).double())


def is_norm(path: str) -> bool:
    return "norm" in path


METHODS = {
    "1lora": by_hand(OneLora, "1lora"),
    "1lora-random": by_hand(one_lora_random, "1lora"),
    "lora-r1": lora(1, 8),
    "lora-r4": lora(4, 8),
    "rslora-r4": lora(4, 8, use_rslora=True),
    "dora-r2": lora(2, 8, use_dora=True),
    "vera-r1": vera(1),
    "vera-r3": vera(3),
    "mora1": by_hand(Mora1, "mora1"),
    "mora6": by_hand(Mora6, "mora6"),
    "bitfit": by_hand(bias=True),
    "difffit": by_hand(bias=True, scale=True, train=is_norm),
    "scale": by_hand(scale=True),
    "norms": by_hand(train=is_norm),
    "1lora+norms": by_hand(OneLora, "1lora", train=is_norm),
    "1lora+bias+scale+norms": by_hand(OneLora, "1lora", bias=True, scale=True, train=is_norm),
    "bitfit+norms": by_hand(bias=True, train=is_norm),
    "all": by_hand(train=lambda path: True),
    "ia3": by_peft("ia3", IA3Config(feedforward_modules=["fc2"])),
    "miss-r4": by_peft("miss", MissConfig(r=4), rank=4),
}


def start(family: Family, method: Method, seed: int) -> Adapted:
    """The method at its published initial value, rounded to what the fixture holds."""
    torch.manual_seed(seed)
    adapted = method.adapt(family, family.load())
    for tensor in [*adapted.trainable.values(), *adapted.frozen.values()]:
        tensor.data.copy_(single(tensor))
    return adapted


def disturb(adapted: Adapted, seed: int) -> None:
    """Moves every trainable parameter away from its initial value."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(adapted.trainable.items()):
        # VeRA multiplies two small vectors: it needs more to matter.
        scale = 0.5 if ".vera." in name else 0.15
        parameter.data.copy_(single(parameter + normal(generator, parameter.shape, scale)))


def trajectory(family: Family, adapted: Adapted) -> list[float]:
    """The loss before each of the steps and after the last one; one group, decay on everything, one fixed batch."""
    optimiser = torch.optim.AdamW(list(adapted.trainable.values()), **ADAMW)
    losses = []
    for _ in range(STEPS):
        optimiser.zero_grad()
        _, loss = family.run(adapted.model)
        losses.append(loss.item())
        loss.backward()
        optimiser.step()
    losses.append(family.run(adapted.model)[1].item())
    return losses


def check_merge(family: Family, adapted: Adapted, merged: dict[str, Tensor], output: Tensor, tolerance: float) -> None:
    """Fails unless a plain model with the merged linears gives the adapted model's output."""
    plain = family.plain()
    values = adapted.trainable | merged
    for name, parameter in plain.named_parameters():
        parameter.data.copy_(values.get(path_of(family, name), parameter))
    torch.testing.assert_close(family.run(plain)[0], output, rtol=tolerance, atol=tolerance)


def flat(path: str, tensor: Tensor) -> Tensor:
    """IA3's factors as the vectors that they are."""
    return tensor.flatten() if ".ia3." in path else tensor


def write(
    folder: Path,
    family: Family,
    names: list[str],
    output: str,
    keep_merged: bool,
    merge_tolerance: float = 1e-10,
) -> None:
    """Writes METHOD.safetensors and methods.json (README.md has the layout)."""
    base_paths = {path_of(family, name) for name, _ in family.load().named_parameters()}
    base_output, _ = family.run(family.load())
    scalars = {}
    for seed, name in enumerate(names, start=100):
        method = METHODS[name]
        adapted = start(family, method, seed)
        initial = {path: parameter.detach().clone() for path, parameter in (adapted.trainable | adapted.frozen).items()}
        torch.testing.assert_close(family.run(adapted.model)[0], base_output, rtol=1e-6, atol=1e-6)
        losses = trajectory(family, adapted)

        adapted = start(family, method, seed)
        disturb(adapted, seed)
        found, loss = family.run(adapted.model)
        loss.backward()
        merged = adapted.merged()
        check_merge(family, adapted, merged, found, merge_tolerance)
        assert (found - base_output).abs().max() > 0.1, name

        save(
            folder / f"{name}.safetensors",
            {
                output: found,
                "loss": loss,
                **{f"init.{path}": flat(path, tensor) for path, tensor in initial.items() if path not in base_paths},
                **{f"point.{path}": flat(path, tensor) for path, tensor in (adapted.trainable | adapted.frozen).items()},
                **{f"grad.{path}": flat(path, parameter.grad) for path, parameter in adapted.trainable.items()},
                **{f"merged.{path}": tensor for path, tensor in merged.items() if keep_merged},
            },
        )
        counts = {path: parameter.numel() for path, parameter in adapted.trainable.items()}
        head = sum(count for path, count in counts.items() if in_head(family, path))
        scalars[name] = {
            **method.options,
            "trainable": sum(counts.values()) - head,
            "head": head,
            "loss": round(loss.item(), 9),
            "trajectory": [round(value, 9) for value in losses],
        }
    document = {"base": family.base, "optimiser": {"name": "adamw", **ADAMW}, "methods": scalars}
    (folder / "methods.json").write_text(json.dumps(document, indent=2) + "\n")
