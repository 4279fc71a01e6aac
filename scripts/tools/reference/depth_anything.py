"""Depth Anything fixtures: small random models in Hugging Face folders, with depth, intermediate maps and gradients by
transformers, and every adapter method on the encoder of one of them.

Writes tests/fixtures/depth-{relative,metric}/ and tests/fixtures/depth-adapters/ (README.md has the layout).
"""

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from common import FIXTURES, normal, save
from methods import Family, write

PATCH = 14

# A grid of 4 x 4 position embeddings, no norm on the feature maps, a block that no map is taken from, a last one unused.
RELATIVE = DepthAnythingConfig(
    backbone_config=Dinov2Config(
        hidden_size=16,
        num_hidden_layers=5,
        num_attention_heads=2,
        mlp_ratio=3,
        image_size=56,
        patch_size=PATCH,
        out_indices=[0, 1, 3, 4],
        apply_layernorm=False,
        reshape_hidden_states=False,
    ),
    reassemble_hidden_size=16,
    neck_hidden_sizes=[6, 8, 12, 16],
    fusion_hidden_size=6,
    head_hidden_size=5,
)

# A grid of 3 x 3, no mask token. 20 and 60 are no multiples of MoRA's 4 and 8 in all the places where it pads, tiles, cuts.
METRIC = DepthAnythingConfig(
    backbone_config=Dinov2Config(
        hidden_size=20,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=3,
        image_size=42,
        patch_size=PATCH,
        out_indices=[1, 2, 3, 4],
        use_mask_token=False,
        reshape_hidden_states=False,
    ),
    reassemble_hidden_size=20,
    neck_hidden_sizes=[4, 6, 6, 8],
    fusion_hidden_size=6,
    head_hidden_size=4,
    depth_estimation_type="metric",
    max_depth=10,
)

# transformers renamed its DINOv2 modules in memory; its files keep the names of the published checkpoints.
RENAMED = {
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
}


def published(name: str) -> str:
    for in_memory, in_file in RENAMED.items():
        name = name.replace(in_memory, in_file)
    return name


def enliven(model: nn.Module, seed: int) -> None:
    """Draws every parameter anew, large enough that all of them matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if name == "head.conv3.bias":
            # Else much of a relative model's depth is cut off at zero.
            value = 0.5 + normal(generator, parameter.shape, 0.1)
        elif name.endswith("bias"):
            value = normal(generator, parameter.shape, 0.3)
        elif "norm" in name or "lambda1" in name:
            value = 1 + normal(generator, parameter.shape, 0.3)
        elif "embeddings" in name and "projection" not in name:
            value = normal(generator, parameter.shape, 0.7)
        else:
            value = normal(generator, parameter.shape, 1.2 * parameter[0].numel() ** -0.5)
        parameter.data.copy_(value)


def load(name: str) -> DepthAnythingForDepthEstimation:
    return DepthAnythingForDepthEstimation.from_pretrained(FIXTURES / name).double().eval()


def draw(seed: int, *shape: int) -> Tensor:
    return normal(torch.Generator().manual_seed(seed), torch.Size(shape), 1.0)


def loss_of(depth: Tensor, target: Tensor) -> Tensor:
    return (depth - target).square().mean()


def maps_of(model: DepthAnythingForDepthEstimation, pixel_values: Tensor) -> dict[str, Tensor]:
    """The backbone's feature maps without the class token and the neck's fused maps, all as [B, H, W, C]."""
    height, width = (side // PATCH for side in pixel_values.shape[-2:])
    features = model.backbone(pixel_values).feature_maps
    fused = model.neck(features, height, width)
    return {
        **{f"feature.{k}": tokens[:, 1:].unflatten(1, (height, width)) for k, tokens in enumerate(features)},
        **{f"fused.{j}": each.permute(0, 2, 3, 1) for j, each in enumerate(fused)},
    }


def by_factors(model: DepthAnythingForDepthEstimation, pixel_values: Tensor) -> Tensor:
    """Depth with position embeddings resampled as DINOv2's own code does: by factors, 0.1 added to the sizes."""
    model.backbone.embeddings.interpolate_pos_encoding = lambda tokens, height, width: resampled(
        model.backbone.embeddings.position_embeddings, height // PATCH, width // PATCH
    )
    return model(pixel_values).predicted_depth


def resampled(positions: Tensor, height: int, width: int) -> Tensor:
    side = round((positions.shape[1] - 1) ** 0.5)
    grid = positions[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
    factors = ((height + 0.1) / side, (width + 0.1) / side)
    grid = interpolate(grid, scale_factor=factors, mode="bicubic", align_corners=False)
    assert grid.shape[-2:] == (height, width)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def model_fixture(name: str, config: DepthAnythingConfig, size: tuple[int, ...], seed: int) -> None:
    """Depth, maps, loss and the gradient of every parameter that has one."""
    model = DepthAnythingForDepthEstimation(config)
    enliven(model, seed)
    model.save_pretrained(FIXTURES / name)

    model = load(name)
    batch, height, width = size
    pixel_values = draw(seed + 1, batch, 3, height, width)
    target = 2 + draw(seed + 2, batch, height, width)
    depth = model(pixel_values).predicted_depth
    assert (depth > 0).double().mean() > 0.5
    loss = loss_of(depth, target)
    loss.backward()
    save(
        FIXTURES / name / "expected.safetensors",
        {
            "pixel_values": pixel_values,
            "target": target,
            "predicted_depth": depth,
            "loss": loss,
            **maps_of(model, pixel_values),
            **{
                f"grad.{published(key)}": parameter.grad
                for key, parameter in model.named_parameters()
                if parameter.grad is not None
            },
            "by_factors.predicted_depth": by_factors(model, pixel_values),
        },
    )


def native_fixture(name: str, seed: int) -> None:
    """Depth of a square image of the size whose position embeddings the model has."""
    model = load(name)
    side = model.config.backbone_config.image_size
    pixel_values = draw(seed, 1, 3, side, side)
    with torch.no_grad():
        depth = model(pixel_values).predicted_depth
    save(FIXTURES / name / "native.safetensors", {"pixel_values": pixel_values, "predicted_depth": depth})


BASE = "depth-metric"
METHODS = ["1lora", "lora-r1", "dora-r2", "vera-r1", "mora1", "mora6", "bitfit", "scale", "norms", "1lora+norms"]


def run(model: nn.Module) -> tuple[Tensor, Tensor]:
    expected = load_file(FIXTURES / BASE / "expected.safetensors")
    depth = model(expected["pixel_values"].double()).predicted_depth
    return depth, loss_of(depth, expected["target"].double())


DEPTH = Family(
    base=BASE,
    load=lambda: load(BASE),
    plain=lambda: load(BASE),
    linears=["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"],
    count=24,
    published=published,
    run=run,
)


if __name__ == "__main__":
    model_fixture("depth-relative", RELATIVE, (1, 42, 98), seed=80)
    model_fixture(BASE, METRIC, (2, 28, 42), seed=90)
    native_fixture(BASE, seed=100)
    write(FIXTURES / "depth-adapters", DEPTH, METHODS, output="predicted_depth", keep_merged=False)
