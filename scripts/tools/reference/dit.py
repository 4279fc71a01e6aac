"""DiT fixtures: a small random model in either layout of published files, with outputs and gradients, every adapter method on
one of them, and parameter counts.

The original code is no package: its mathematics is here in plain PyTorch, checked against diffusers' DiTTransformer2DModel.

Writes tests/fixtures/dit-{original,diffusers}/, tests/fixtures/dit-adapters/ and tests/fixtures/dit-counts.json (README.md
has the layout).
"""

import json
import math
import sys
from dataclasses import dataclass
from typing import Callable

import torch
from diffusers import DiTTransformer2DModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import mse_loss, scaled_dot_product_attention

from common import FIXTURES, normal, save
from methods import Family, write


@dataclass
class Sizes:
    """What decides a DiT."""

    hidden: int
    layers: int
    heads: int
    sample: int
    patch: int
    channels: int
    out_channels: int
    classes: int
    frequency_shift: int = 0
    """Timestep frequency i is 10000^(-i / (128 - shift)): 0 in the original code, 1 in diffusers."""
    mlp_eps: float = 1e-6
    """Added to the variance in the norm before the MLP."""


def rounded_exp(x: Tensor) -> Tensor:
    """exp to the nearest float32; torch.exp misses it by one unit now and then, depending on the machine."""
    return x.double().exp().float()


def timestep_embedding(timesteps: Tensor, shift: int, exp: Callable[[Tensor], Tensor]) -> Tensor:
    """[cos, sin] of 128 frequencies each, in float32 as both codes have it."""
    exponents = -math.log(10000) * torch.arange(128, dtype=torch.float32) / (128 - shift)
    angles = timesteps[:, None].float() * exp(exponents)[None]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def grid_embedding(side: int, hidden: int) -> Tensor:
    """First half from the column, second from the row, each [sin, cos]; [1, side^2, hidden]."""
    omega = 10000.0 ** (-torch.arange(hidden // 4, dtype=torch.float64) / (hidden // 4))
    place = torch.arange(side * side)
    angles = [position[:, None].double() * omega for position in [place % side, place // side]]
    return torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], dim=-1).float()[None]


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale[:, None]) + shift[:, None]


def adaptive(hidden: int, count: int) -> nn.Sequential:
    return nn.Sequential(nn.SiLU(), nn.Linear(hidden, count * hidden))


class Attention(nn.Module):
    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.proj = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        return self.proj(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden, 4 * hidden)
        self.fc2 = nn.Linear(4 * hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(sizes.hidden, eps=1e-6, elementwise_affine=False)
        self.attn = Attention(sizes.hidden, sizes.heads)
        self.norm2 = nn.LayerNorm(sizes.hidden, eps=sizes.mlp_eps, elementwise_affine=False)
        self.mlp = Mlp(sizes.hidden)
        self.adaLN_modulation = adaptive(sizes.hidden, 6)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(condition).chunk(6, dim=-1)
        x = x + gate1[:, None] * self.attn(modulate(self.norm1(x), shift1, scale1))
        return x + gate2[:, None] * self.mlp(modulate(self.norm2(x), shift2, scale2))


class FinalLayer(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.norm_final = nn.LayerNorm(sizes.hidden, eps=1e-6, elementwise_affine=False)
        self.linear = nn.Linear(sizes.hidden, sizes.patch**2 * sizes.out_channels)
        self.adaLN_modulation = adaptive(sizes.hidden, 2)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(condition).chunk(2, dim=-1)
        return self.linear(modulate(self.norm_final(x), shift, scale))


class DiT(nn.Module):
    """facebookresearch/DiT by its parameters' names and its mathematics."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.exp = rounded_exp
        self.pos_embed = nn.Parameter(grid_embedding(sizes.sample // sizes.patch, sizes.hidden), requires_grad=False)
        self.x_embedder = nn.Module()
        self.x_embedder.proj = nn.Conv2d(sizes.channels, sizes.hidden, sizes.patch, sizes.patch)
        self.t_embedder = nn.Module()
        self.t_embedder.mlp = nn.Sequential(
            nn.Linear(256, sizes.hidden), nn.SiLU(), nn.Linear(sizes.hidden, sizes.hidden)
        )
        self.y_embedder = nn.Module()
        self.y_embedder.embedding_table = nn.Embedding(sizes.classes + 1, sizes.hidden)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.final_layer = FinalLayer(sizes)

    def forward(self, latents: Tensor, timesteps: Tensor, labels: Tensor) -> Tensor:
        x = self.x_embedder.proj(latents).flatten(2).transpose(1, 2) + self.pos_embed
        waves = timestep_embedding(timesteps, self.sizes.frequency_shift, self.exp).to(x.dtype)
        condition = self.t_embedder.mlp(waves) + self.y_embedder.embedding_table(labels)
        for block in self.blocks:
            x = block(x, condition)
        tokens = self.final_layer(x, condition)
        side = self.sizes.sample // self.sizes.patch
        patches = tokens.unflatten(-1, (self.sizes.patch, self.sizes.patch, -1)).unflatten(1, (side, side))
        return torch.einsum("nhwpqc->nchpwq", patches).flatten(4, 5).flatten(2, 3)


def to_diffusers(state: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """The parameters under diffusers' names: embedders in every block, qkv in three, no positions."""
    renamed = {}
    for name, tensor in state.items():
        block, _, rest = name.removeprefix("blocks.").partition(".")
        there = f"transformer_blocks.{block}"
        end = name.rpartition(".")[2]
        embedders = {
            "t_embedder.mlp.0": "timestep_embedder.linear_1",
            "t_embedder.mlp.2": "timestep_embedder.linear_2",
            "y_embedder.embedding_table": "class_embedder.embedding_table",
        }
        inside = {
            "attn.proj": "attn1.to_out.0",
            "mlp.fc1": "ff.net.0.proj",
            "mlp.fc2": "ff.net.2",
            "adaLN_modulation.1": "norm1.linear",
        }
        outside = {
            "x_embedder.proj": "pos_embed.proj",
            "final_layer.adaLN_modulation.1": "proj_out_1",
            "final_layer.linear": "proj_out_2",
        }
        module = name.removesuffix(f".{end}")
        if name == "pos_embed":
            continue
        if module in embedders:
            for i in range(layers):
                renamed[f"transformer_blocks.{i}.norm1.emb.{embedders[module]}.{end}"] = tensor.clone()
        elif module in outside:
            renamed[f"{outside[module]}.{end}"] = tensor
        elif rest.startswith("attn.qkv"):
            for part, rows in zip("qkv", tensor.chunk(3)):
                renamed[f"{there}.attn1.to_{part}.{end}"] = rows.clone()
        else:
            renamed[f"{there}.{inside[rest.removesuffix(f'.{end}')]}.{end}"] = tensor
    return renamed


def in_diffusers(sizes: Sizes, model: DiT | None = None) -> DiTTransformer2DModel:
    """diffusers' model of these sizes, with another's parameters."""
    theirs = DiTTransformer2DModel(
        num_attention_heads=sizes.heads,
        attention_head_dim=sizes.hidden // sizes.heads,
        in_channels=sizes.channels,
        out_channels=sizes.out_channels,
        num_layers=sizes.layers,
        sample_size=sizes.sample,
        patch_size=sizes.patch,
        num_embeds_ada_norm=sizes.classes,
        norm_eps=sizes.mlp_eps,
    ).eval()
    if model is not None:
        theirs.load_state_dict(to_diffusers(model.state_dict(), sizes.layers))
    return theirs


def enliven(model: DiT, seed: int) -> None:
    """Draws every parameter anew, large enough that attention, conditioning and biases all matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if name == "pos_embed":
            continue
        if name.endswith("bias"):
            value = normal(generator, parameter.shape, 0.3)
        elif "embedding_table" in name:
            value = normal(generator, parameter.shape, 0.7)
        else:
            value = normal(generator, parameter.shape, 1.2 * parameter[0].numel() ** -0.5)
        parameter.data.copy_(value)


# 24, 48, 32 and 96 are no multiples of MoRA's 5, 7, 6, 10 in all the places where it pads, tiles and cuts.
ORIGINAL = Sizes(hidden=24, layers=2, heads=2, sample=6, patch=2, channels=4, out_channels=8, classes=5)
# Other patches, no learned variance, diffusers' frequencies and epsilon.
DIFFUSERS = Sizes(
    hidden=16,
    layers=3,
    heads=4,
    sample=9,
    patch=3,
    channels=2,
    out_channels=2,
    classes=3,
    frequency_shift=1,
    mlp_eps=1e-5,
)


def batch(sizes: Sizes, seed: int) -> dict[str, Tensor]:
    """Latents, timesteps (0 and 999 among them), classes (the last one means none), and what to be close to."""
    generator = torch.Generator().manual_seed(seed)
    side = [sizes.sample, sizes.sample]
    return {
        "latents": normal(generator, torch.Size([4, sizes.channels, *side]), 1.0),
        "timesteps": torch.tensor([999, 0, 37, 500]),
        "labels": torch.tensor([1, sizes.classes, 0, 1]),
        "target": normal(generator, torch.Size([4, sizes.out_channels, *side]), 1.0),
    }


def names_in(path: str) -> dict[str, Tensor]:
    return load_file(FIXTURES / path)


def load_original(name: str, sizes: Sizes) -> DiT:
    """A committed fixture in the original layout, in float64."""
    model = DiT(sizes)
    model.load_state_dict(names_in(f"{name}/model.safetensors"))
    return model.double().eval()


@torch.no_grad()
def check(model: DiT, sizes: Sizes, inputs: dict[str, Tensor]) -> None:
    """Fails unless diffusers' model gives the same output."""
    theirs = in_diffusers(sizes, model).double()
    for block in theirs.transformer_blocks:
        block.norm1.emb.time_proj.downscale_freq_shift = sizes.frequency_shift
    found = theirs(inputs["latents"], inputs["timesteps"], inputs["labels"]).sample
    model.exp = torch.exp
    output = model(inputs["latents"], inputs["timesteps"], inputs["labels"])
    torch.testing.assert_close(found, output, rtol=1e-10, atol=1e-10)
    model.exp = rounded_exp


def expected(model: DiT, sizes: Sizes, seed: int) -> dict[str, Tensor]:
    """Output, tokens after each block, loss, gradients; the output checked against diffusers'."""
    inputs = batch(sizes, seed)
    check(model, sizes, inputs)
    tokens = []
    for block in model.blocks:
        block.register_forward_hook(lambda _module, _inputs, output: tokens.append(output))
    output = model(inputs["latents"], inputs["timesteps"], inputs["labels"])
    loss = mse_loss(output, inputs["target"])
    loss.backward()
    grads = {f"grad.{name}": each.grad for name, each in model.named_parameters() if each.requires_grad}
    hidden = {f"hidden.{i}": each for i, each in enumerate(tokens)}
    return inputs | {"output": output, "loss": loss} | hidden | grads


def original_fixture(name: str, sizes: Sizes, seed: int) -> None:
    """The original keys, positions included, and what diffusers' configuration cannot say."""
    model = DiT(sizes)
    enliven(model, seed)
    folder = FIXTURES / name
    folder.mkdir(exist_ok=True)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    config = {key: value for key, value in in_diffusers(sizes).config.items() if key not in ["_use_default_values"]}
    own = {"downscale_freq_shift": sizes.frequency_shift, "fused_qkv": True}
    document = {"_class_name": "DiTTransformer2DModel"} | config | own
    (folder / "config.json").write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    save(folder / "expected.safetensors", expected(load_original(name, sizes), sizes, seed + 1))


def diffusers_fixture(name: str, sizes: Sizes, seed: int) -> None:
    """A folder as diffusers saves it."""
    model = DiT(sizes)
    enliven(model, seed)
    in_diffusers(sizes, model).save_pretrained(FIXTURES / name)
    save(FIXTURES / name / "expected.safetensors", expected(model.double().eval(), sizes, seed + 1))


def counts() -> None:
    """Parameters of the published sizes, each once; diffusers' model has the embedders in every block."""
    found = {}
    for name, (hidden, layers, heads, sample) in {
        "dit-s-2": (384, 12, 6, 32),
        "dit-b-2": (768, 12, 12, 32),
        "dit-l-2": (1024, 24, 16, 32),
        "dit-xl-2": (1152, 28, 16, 32),
        "dit-xl-2-512": (1152, 28, 16, 64),
    }.items():
        sizes = Sizes(hidden, layers, heads, sample, patch=2, channels=4, out_channels=8, classes=1000)
        with torch.device("meta"):
            model = DiTTransformer2DModel(
                num_attention_heads=heads,
                attention_head_dim=hidden // heads,
                out_channels=8,
                num_layers=layers,
                sample_size=sample,
                num_embeds_ada_norm=1000,
            )
            ours = sum(each.numel() for each in DiT(sizes).parameters() if each.requires_grad)
        repeated = sum(each.numel() for key, each in model.named_parameters() if ".norm1.emb." in key)
        found[name] = sum(each.numel() for each in model.parameters()) - repeated // layers * (layers - 1)
        assert found[name] == ours
    (FIXTURES / "dit-counts.json").write_text(json.dumps(found, indent=2) + "\n")


BASE = "dit-original"
METHODS = ["1lora", "lora-r1", "dora-r2", "vera-r1", "mora1", "mora6", "bitfit", "difffit"]


def run(model: nn.Module) -> tuple[Tensor, Tensor]:
    inputs = names_in(f"{BASE}/expected.safetensors")
    output = model(inputs["latents"].double(), inputs["timesteps"], inputs["labels"])
    return output, mse_loss(output, inputs["target"].double())


DIT = Family(
    base=BASE,
    load=lambda: load_original(BASE, ORIGINAL),
    plain=lambda: load_original(BASE, ORIGINAL),
    linears=["qkv", "proj", "fc1", "fc2", "linear", "1"],
    count=5 * ORIGINAL.layers + 2,
    published=lambda name: name,
    run=run,
    head="y_embedder.embedding_table",
)


if __name__ == "__main__":
    parts = sys.argv[1:] or ["models", "counts", "adapters"]
    if "models" in parts:
        original_fixture(BASE, ORIGINAL, seed=80)
        diffusers_fixture("dit-diffusers", DIFFUSERS, seed=90)
    if "counts" in parts:
        counts()
    if "adapters" in parts:
        write(FIXTURES / "dit-adapters", DIT, METHODS, output="output", keep_merged=False)
