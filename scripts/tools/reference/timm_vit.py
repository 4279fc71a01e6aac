"""ViTs of timm: logits, loss and gradients, pictures as its transform for evaluation prepares them, numbers of parameters.

Writes tests/fixtures/timm-{class,mean,clip,gap}/ as vit.py does (folders as timm's save_for_hf leaves them), with `picture.{i}` (bytes
[height, width, 3]) and `prepared.{i}`; and timm-counts.json: the numbers of parameters of every architecture of timm's two
modules with its plain ViTs, for pictures of 224 pixels and 1000 classes, null for those whose class or layers are others.
"""

import json

import timm
import torch
from common import FIXTURES, normal, save
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from timm.models import save_for_hf
from timm.models._registry import _model_entrypoints
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn
from torch.nn.functional import cross_entropy

SIZES = dict(embed_dim=24, depth=2, num_heads=3)
MODELS = {
    # A class token that has a position; three numbers of classes agree.
    "class": timm.create_model("vit_tiny_patch16_224", **SIZES, img_size=12, patch_size=4, num_classes=5),
    # The mean of patches, registers without positions, a norm behind the mean, factors of layers, a name for each class.
    "mean": timm.create_model("vit_medium_patch16_reg4_gap_256", **SIZES, img_size=14, patch_size=4, num_classes=3, reg_tokens=2),
    # A norm before the blocks, another epsilon and activation, no squares.
    "clip": timm.create_model("vit_base_patch32_clip_quickgelu_224", **SIZES, img_size=(8, 12), patch_size=(4, 3), num_classes=4),
    # The norm before the mean, no biases of query, key and value.
    "gap": timm.create_model("vit_medium_patch16_gap_240", **SIZES, img_size=12, patch_size=4, num_classes=4, proj_bias=False),
}
PICTURES = [(31, 20), (17, 44), (12, 12), (9, 10)]
DATA = {
    "class": dict(crop_pct=0.9),
    "mean": dict(crop_pct=0.95, interpolation="bilinear", mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)),
    "clip": dict(crop_pct=1.0, crop_mode="squash"),
    "gap": dict(crop_pct=0.7),
}


def enliven(model: nn.Module, seed: int) -> None:
    """Draws every parameter anew, large enough that attention, norms, tokens and biases all matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if name.endswith("bias"):
            value = normal(generator, parameter.shape, 0.3)
        elif "norm" in name or "gamma" in name:
            value = 1 + normal(generator, parameter.shape, 0.3)
        elif "token" in name or "pos_embed" in name:
            value = normal(generator, parameter.shape, 0.7)
        else:
            value = normal(generator, parameter.shape, 1.2 * parameter[0].numel() ** -0.5)
        parameter.data.copy_(value)


def is_plain(model: nn.Module) -> bool:
    """Whether it is timm's plain ViT: its class, its blocks and its norms, no pooling by attention."""
    if type(model) is not VisionTransformer or model.attn_pool is not None:
        return False
    kinds = {type(each).__name__ for each in model.modules()}
    return all(type(each) is Block for each in model.blocks) and not kinds & {"RmsNorm", "SwiGLU", "GluMlp", "DiffAttention"} and all(
        isinstance(each.attn.q_norm, nn.Identity) and isinstance(each.attn.norm, nn.Identity) for each in model.blocks
    )


def main() -> None:
    for seed, (name, model) in enumerate(MODELS.items()):
        enliven(model, 700 + seed)
        folder = FIXTURES / f"timm-{name}"
        names = {"label_names": ["cat", "dog", "eel"]} if name == "mean" else {}
        save_for_hf(model, folder, safe_serialization=True, model_config=names, data_config=DATA[name])
        model = timm.create_model(f"local-dir:{folder}", pretrained=True).double().eval()
        random = torch.Generator().manual_seed(800 + seed)
        size = model.patch_embed.img_size
        pixel_values = normal(random, torch.Size([3, 3, *size]), 1.0)
        labels = torch.arange(3) * 2 % model.num_classes
        logits = model(pixel_values)
        loss = cross_entropy(logits, labels)
        loss.backward()
        transform = create_transform(**resolve_model_data_config(model))
        tensors = {
            "pixel_values": pixel_values,
            "labels": labels,
            "logits": logits,
            "loss": loss,
            **{f"grad.{key}": each.grad for key, each in model.named_parameters()},
        }
        for i, shape in enumerate(PICTURES):
            picture = torch.randint(0, 256, (*shape, 3), generator=random, dtype=torch.uint8)
            tensors |= {f"picture.{i}": picture, f"prepared.{i}": transform(Image.fromarray(picture.numpy()))}
        save(folder / "expected.safetensors", tensors)

    counts = {}
    for name, entry in sorted(_model_entrypoints.items()):
        if entry.__module__ in ("timm.models.vision_transformer", "timm.models.deit"):
            with torch.device("meta"):
                model = entry(num_classes=1000, img_size=224)
            counts[name] = sum(each.numel() for each in model.parameters()) if is_plain(model) else None
    (FIXTURES / "timm-counts.json").write_text(json.dumps(counts, indent=2) + "\n")


if __name__ == "__main__":
    main()
