"""Classifiers beside ViT: DeiT with one head and two, DINOv2 without and with registers, CLIP's vision model.

Writes tests/fixtures/{deit-teacher,deit-one,dinov2-plain,dinov2-registers,clip-vision}/ as vit.py does (names of gradients as in
model.safetensors, logits of a larger picture where a model takes one), clip-whole/ (a file of the whole CLIP with the class
of its vision model's last tokens), and vision-counts.json: parameters of the presets as transformers counts them.
"""

import json

import torch
from torch.nn.functional import cross_entropy
from transformers import (
    CLIPConfig,
    CLIPForImageClassification,
    CLIPModel,
    DeiTConfig,
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    Dinov2Config,
    Dinov2ForImageClassification,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersForImageClassification,
)

from common import FIXTURES, normal, save

SIZES = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, num_channels=3)
VISION = dict(**SIZES, intermediate_size=44, image_size=14, patch_size=4)
TEXT = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=10, bos_token_id=1, eos_token_id=3)

MODELS = {
    "deit-teacher": DeiTForImageClassificationWithTeacher(DeiTConfig(**SIZES, intermediate_size=44, image_size=12, patch_size=4, num_labels=5)),
    "deit-one": DeiTForImageClassification(DeiTConfig(**SIZES, intermediate_size=40, image_size=[8, 12], patch_size=4, num_labels=3)),
    "dinov2-plain": Dinov2ForImageClassification(Dinov2Config(**SIZES, mlp_ratio=2, image_size=16, patch_size=4, num_labels=5)),
    "dinov2-registers": Dinov2WithRegistersForImageClassification(
        Dinov2WithRegistersConfig(**SIZES, mlp_ratio=2, image_size=20, patch_size=4, num_register_tokens=3, num_labels=4)
    ),
    "clip-vision": CLIPForImageClassification(CLIPConfig(vision_config=VISION, text_config=TEXT, num_labels=5)),
}
SIZE = {"deit-teacher": (12, 12), "deit-one": (8, 12), "dinov2-plain": (16, 16), "dinov2-registers": (20, 20), "clip-vision": (14, 14)}
# Sizes whose positions are resampled, to more patches and to fewer.
OTHERS = {"dinov2-plain": [(24, 24), (12, 8)], "dinov2-registers": [(28, 28), (12, 12), (8, 16)]}

DEIT = dict(num_labels=1000)
DINO = dict(image_size=518, patch_size=14, num_labels=1000)
CLIP = dict(text_config=TEXT, num_labels=10)
PRESETS = {
    "deit-tiny-distilled": lambda: DeiTForImageClassificationWithTeacher(
        DeiTConfig(**DEIT, hidden_size=192, num_attention_heads=3, intermediate_size=768)
    ),
    "deit-small-distilled": lambda: DeiTForImageClassificationWithTeacher(
        DeiTConfig(**DEIT, hidden_size=384, num_attention_heads=6, intermediate_size=1536)
    ),
    "deit-base-distilled": lambda: DeiTForImageClassificationWithTeacher(DeiTConfig(**DEIT)),
    "dinov2-small": lambda: Dinov2ForImageClassification(Dinov2Config(**DINO, hidden_size=384, num_attention_heads=6)),
    "dinov2-base": lambda: Dinov2ForImageClassification(Dinov2Config(**DINO)),
    "dinov2-large": lambda: Dinov2ForImageClassification(
        Dinov2Config(**DINO, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16)
    ),
    "dinov2-base-registers": lambda: Dinov2WithRegistersForImageClassification(Dinov2WithRegistersConfig(**DINO)),
    "clip-vit-base-patch32": lambda: CLIPForImageClassification(CLIPConfig(vision_config={}, **CLIP)),
    "clip-vit-base-patch16": lambda: CLIPForImageClassification(CLIPConfig(vision_config={"patch_size": 16}, **CLIP)),
    "clip-vit-large-patch14": lambda: CLIPForImageClassification(
        CLIPConfig(
            vision_config=dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096, patch_size=14),
            **CLIP,
        )
    ),
}


def enliven(model: torch.nn.Module, seed: int) -> None:
    """Draws every parameter anew, large enough that attention, norms, tokens and biases all matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if name.endswith("bias"):
            value = normal(generator, parameter.shape, 0.3)
        elif parameter.ndim == 0 or "norm" in name or "layrnorm" in name or "lambda1" in name:
            value = 1 + normal(generator, parameter.shape, 0.3)
        elif "token" in name or "position" in name or "class_embedding" in name:
            value = normal(generator, parameter.shape, 0.7)
        else:
            value = normal(generator, parameter.shape, 1.2 * parameter[0].numel() ** -0.5)
        parameter.data.copy_(value)


# transformers renamed its modules in memory; its files keep the published names.
def published(name: str) -> str:
    if name.startswith("deit.layers."):
        name = name.replace("deit.layers.", "deit.encoder.layer.")
        name = name.replace("mlp.fc1", "intermediate.dense").replace("mlp.fc2", "output.dense")
    if "vision_model" not in name:
        for new, old in {"q_proj": "attention.query", "k_proj": "attention.key", "v_proj": "attention.value", "o_proj": "output.dense"}.items():
            name = name.replace(f"attention.{new}", f"attention.{old}")
    return name


def reload(model: torch.nn.Module, name: str) -> torch.nn.Module:
    return type(model).from_pretrained(FIXTURES / name, attn_implementation="sdpa").double().eval()


def main() -> None:
    for seed, (name, model) in enumerate(MODELS.items()):
        enliven(model, 300 + seed)
        model.save_pretrained(FIXTURES / name)
        model = reload(model, name)
        random = torch.Generator().manual_seed(400 + seed)
        pixel_values = normal(random, torch.Size([3, 3, *SIZE[name]]), 1.0)
        labels = torch.arange(3) * 2 % model.config.num_labels
        logits = model(pixel_values).logits
        loss = cross_entropy(logits, labels)
        loss.backward()
        tensors = {
            "pixel_values": pixel_values,
            "labels": labels,
            "logits": logits,
            "loss": loss,
            **{
                f"grad.{published(key)}": torch.zeros_like(each) if each.grad is None else each.grad
                for key, each in model.named_parameters()
            },
        }
        for i, size in enumerate(OTHERS.get(name, [])):
            other = normal(random, torch.Size([2, 3, *size]), 1.0)
            with torch.no_grad():
                tensors |= {f"other.{i}.pixel_values": other, f"other.{i}.logits": model(other).logits}
        save(FIXTURES / name / "expected.safetensors", tensors)

    whole = CLIPModel(CLIPConfig(vision_config=VISION, text_config=TEXT))
    enliven(whole, 390)
    whole.save_pretrained(FIXTURES / "clip-whole")
    whole = reload(whole, "clip-whole")
    pixel_values = normal(torch.Generator().manual_seed(490), torch.Size([2, 3, 14, 14]), 1.0)
    with torch.no_grad():
        tokens = whole.vision_model(pixel_values).last_hidden_state
    save(FIXTURES / "clip-whole" / "expected.safetensors", {"pixel_values": pixel_values, "mean": tokens[:, 1:].mean(1)})

    counts = {}
    for name, build in PRESETS.items():
        with torch.device("meta"):
            counts[name] = sum(each.numel() for each in build().parameters())
    (FIXTURES / "vision-counts.json").write_text(json.dumps(counts, indent=2) + "\n")


if __name__ == "__main__":
    main()
