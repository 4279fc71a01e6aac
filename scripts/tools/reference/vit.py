"""ViT fixtures: small random models in Hugging Face folders, with outputs and gradients by transformers.

Writes tests/fixtures/vit-{grey,rgb,oblong,headless}/{config.json,model.safetensors,expected.safetensors}.
"""

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, ViTConfig, ViTForImageClassification, ViTModel

from common import FIXTURES, load_vit, normal, published, save

COMMON = dict(qkv_bias=True, layer_norm_eps=1e-12, hidden_act="gelu")

# The shape of the shipped micro model, smaller.
GREY = ViTConfig(
    **COMMON,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    image_size=28,
    patch_size=7,
    num_channels=1,
    num_labels=10,
)

# 30 and 44 are no multiples of MoRA's 5, 7 (type 1) and 4, 6 (type 6) in all the places where it pads, tiles and cuts.
RGB = ViTConfig(
    **COMMON,
    hidden_size=30,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=44,
    image_size=12,
    patch_size=4,
    num_channels=3,
    num_labels=5,
)

OBLONG = ViTConfig(
    **COMMON,
    hidden_size=24,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=52,
    image_size=[8, 20],
    patch_size=[4, 5],
    num_channels=3,
    num_labels=7,
)


def enliven(model: PreTrainedModel, seed: int) -> None:
    """Draws every parameter anew, large enough that attention, norms and biases all matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        if name.endswith("bias"):
            value = normal(generator, parameter.shape, 0.3)
        elif "layernorm" in name:
            value = 1 + normal(generator, parameter.shape, 0.3)
        elif "embeddings" in name and "projection" not in name:
            value = normal(generator, parameter.shape, 0.7)
        else:
            value = normal(generator, parameter.shape, 1.2 * parameter[0].numel() ** -0.5)
        parameter.data.copy_(value)


def pixels(config: ViTConfig, batch: int, seed: int) -> torch.Tensor:
    size = config.image_size if isinstance(config.image_size, (list, tuple)) else [config.image_size] * 2
    return normal(torch.Generator().manual_seed(seed), torch.Size([batch, config.num_channels, *size]), 1.0)


def classification(name: str, config: ViTConfig, batch: int, seed: int) -> None:
    """Logits, hidden states (after the embeddings and after each block), loss, and the gradient of every parameter."""
    model = ViTForImageClassification(config)
    enliven(model, seed)
    model.save_pretrained(FIXTURES / name)

    model = load_vit(name)
    pixel_values = pixels(config, batch, seed + 1)
    labels = torch.arange(batch) * 3 % config.num_labels
    output = model(pixel_values, output_hidden_states=True)
    loss = cross_entropy(output.logits, labels)
    loss.backward()
    save(
        FIXTURES / name / "expected.safetensors",
        {
            "pixel_values": pixel_values,
            "labels": labels,
            "logits": output.logits,
            "loss": loss,
            **{f"hidden.{i}": state for i, state in enumerate(output.hidden_states)},
            **{f"grad.{published(key)}": parameter.grad for key, parameter in model.named_parameters()},
        },
    )


def headless(name: str, config: ViTConfig, batch: int, seed: int) -> None:
    """A file of ViTModel: no `vit.` prefix, no classifier, a pooler to ignore."""
    model = ViTModel(config)
    enliven(model, seed)
    model.save_pretrained(FIXTURES / name)

    model = ViTModel.from_pretrained(FIXTURES / name, attn_implementation="sdpa").double().eval()
    pixel_values = pixels(config, batch, seed + 1)
    with torch.no_grad():
        output = model(pixel_values, output_hidden_states=True)
    save(
        FIXTURES / name / "expected.safetensors",
        {
            "pixel_values": pixel_values,
            "last_hidden_state": output.last_hidden_state,
            **{f"hidden.{i}": state for i, state in enumerate(output.hidden_states)},
        },
    )


if __name__ == "__main__":
    classification("vit-grey", GREY, batch=3, seed=10)
    classification("vit-rgb", RGB, batch=4, seed=20)
    classification("vit-oblong", OBLONG, batch=2, seed=30)
    headless("vit-headless", GREY, batch=2, seed=40)
