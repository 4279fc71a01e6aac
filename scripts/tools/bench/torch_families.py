"""PyTorch's side of `deno task bench --part families`: Depth Anything and LLaMA of transformers, DiT of diffusers, with the
paper's Listing 1 on every linear layer and random weights; called by torch_peer.py."""

from typing import Callable

import torch
from torch import Tensor, nn


def whole(*shape: int) -> Tensor:
    return (torch.arange(torch.Size(shape).numel()) % 8).reshape(shape)


def real(*shape: int) -> Tensor:
    return (1.5 + torch.sin(torch.arange(torch.Size(shape).numel(), dtype=torch.float64))).float().reshape(shape)


def depth_anything(job: dict) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

    config = DepthAnythingConfig.from_dict(job["config"])
    side = config.backbone_config.image_size
    pixels, truth = real(job["batch"], 3, side, side), real(job["batch"], side, side)

    def loss(model: nn.Module) -> Tensor:
        depth = model(pixels).predicted_depth
        if job["what"] == "forward":
            return depth.mean()
        g = torch.log(depth + 1e-7) - torch.log(truth + 1e-7)
        return 10 * torch.sqrt(g.var() + 0.15 * g.mean() ** 2)

    return DepthAnythingForDepthEstimation(config), loss


def dit(job: dict) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    from diffusers import DiTTransformer2DModel

    config = {name: value for name, value in job["config"].items() if name not in ("fused_qkv", "downscale_freq_shift")}
    model = DiTTransformer2DModel.from_config(config)
    side = config["sample_size"]
    latents, noise = real(job["batch"], 4, side, side), real(job["batch"], 4, side, side)

    def loss(model: nn.Module) -> Tensor:
        output = model(latents, timestep=whole(job["batch"]), class_labels=whole(job["batch"])).sample
        mean, variance = output.chunk(2, dim=1)
        return ((mean - noise) ** 2).mean() + (variance**2).mean()

    return model, loss


def llama(job: dict) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_default_dtype(torch.bfloat16 if job["precision"] == "bf16" else torch.float32)
    model = LlamaForCausalLM(LlamaConfig.from_dict(job["config"]))
    torch.set_default_dtype(torch.float32)
    ids = whole(job["batch"], job["length"])
    return model, lambda model: model(input_ids=ids, labels=ids).loss


FAMILIES = {"depth_anything": depth_anything, "dit": dit, "llama": llama}
