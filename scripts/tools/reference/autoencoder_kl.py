"""AutoencoderKL fixtures: small random models in diffusers' folders, with moments and decoded images by diffusers, and the
number of parameters of the published size.

Writes tests/fixtures/vae-{rgb,old}/ and tests/fixtures/vae-counts.json (README.md has the layout).
"""

import json

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from common import FIXTURES, normal, save

# Three resolutions, so that halving and doubling, with and without a change of channels, all occur.
RGB = dict(
    block_out_channels=(8, 12, 12),
    down_block_types=("DownEncoderBlock2D",) * 3,
    up_block_types=("UpDecoderBlock2D",) * 3,
    layers_per_block=2,
    latent_channels=4,
    norm_num_groups=4,
    sample_size=16,
)

# As files from before diffusers 0.18 are: other names in the attention, no scaling factor.
OLD = dict(
    in_channels=1,
    out_channels=1,
    block_out_channels=(6, 9),
    down_block_types=("DownEncoderBlock2D",) * 2,
    up_block_types=("UpDecoderBlock2D",) * 2,
    layers_per_block=1,
    latent_channels=2,
    norm_num_groups=3,
    sample_size=12,
)

OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def enliven(model: AutoencoderKL, seed: int) -> None:
    """Draws every parameter anew, large enough that attention, norms and biases all matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if name.endswith("bias"):
            value = normal(generator, parameter.shape, 0.3)
        elif "norm" in name:
            value = 1 + normal(generator, parameter.shape, 0.3)
        else:
            value = normal(generator, parameter.shape, 1.2 * parameter[0].numel() ** -0.5)
        parameter.data.copy_(value)


def age(name: str) -> None:
    """Makes a folder look as older versions of diffusers wrote it."""
    folder = FIXTURES / name
    config = json.loads((folder / "config.json").read_text())
    known = ["_class_name", "act_fn", "in_channels", "latent_channels", "out_channels", "sample_size", *OLD]
    document = {key: value for key, value in config.items() if key in known}
    (folder / "config.json").write_text(json.dumps(document, indent=2) + "\n")
    renamed = {}
    for key, tensor in load_file(folder / "diffusion_pytorch_model.safetensors").items():
        if ".attentions." in key:
            for new, old in OLD_NAMES.items():
                key = key.replace(f".{new}.", f".{old}.")
        renamed[key] = tensor
    save_file(renamed, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def fixture(name: str, config: dict, height: int, width: int, seed: int, old: bool = False) -> None:
    """Moments of a batch of images, the decoded images of other latents, and what the halves give on the way."""
    model = AutoencoderKL(**config)
    enliven(model, seed)
    model.save_pretrained(FIXTURES / name)
    if old:
        age(name)

    model = AutoencoderKL.from_pretrained(FIXTURES / name).double().eval()
    generator = torch.Generator().manual_seed(seed + 1)
    pixels = normal(generator, torch.Size([2, model.config.in_channels, height, width]), 1.0)
    factor = model.config.scaling_factor
    blocks = {}
    for part, module in [("encoder.down_blocks", model.encoder.down_blocks), ("decoder.up_blocks", model.decoder.up_blocks)]:
        for i, block in enumerate(module):
            keep = lambda _module, _inputs, output, at=f"{part}.{i}": blocks.update({at: output})
            block.register_forward_hook(keep)
    for part in ["encoder", "decoder"]:
        keep = lambda _module, _inputs, output, at=f"{part}.mid_block": blocks.update({at: output})
        model.get_submodule(part).mid_block.register_forward_hook(keep)
    with torch.no_grad():
        posterior = model.encode(pixels).latent_dist
        noise = normal(generator, posterior.mean.shape, 1.0)
        latents = normal(generator, posterior.mean.shape, 1.0)
        save(
            FIXTURES / name / "expected.safetensors",
            {
                "pixel_values": pixels,
                "mean": posterior.mean,
                "logvar": posterior.logvar,
                "noise": noise,
                "sample": factor * (posterior.mean + posterior.std * noise),
                "latents": latents,
                "decoded": model.decode(latents / factor).sample,
                **blocks,
            },
        )


def counts() -> None:
    with torch.device("meta"):
        model = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
        )
    found = {"sd-vae-ft-ema": sum(each.numel() for each in model.parameters())}
    (FIXTURES / "vae-counts.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    fixture("vae-rgb", RGB, height=16, width=20, seed=110)
    fixture("vae-old", OLD, height=12, width=8, seed=120, old=True)
    counts()
