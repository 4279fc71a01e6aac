"""What the reference scripts share: where fixtures live, published names, seeded values, saving.

Weights are stored in float32, but every expected value is computed in float64 from those weights and rounded once at
the end, so that the fixtures hold the true value to float32 precision and do not depend on a machine's BLAS.
"""

import os
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from safetensors.torch import load_file, save_file
from transformers import ViTForImageClassification
from transformers.utils import logging

logging.disable_progress_bar()
warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)

FIXTURES = Path(__file__).resolve().parents[3] / "tests" / "fixtures"

# transformers renamed its ViT modules in memory; its files keep the names of the published checkpoints.
RENAMED = {
    "vit.layers.": "vit.encoder.layer.",
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}


def published(name: str) -> str:
    """The checkpoint's name of a transformers module or parameter."""
    for in_memory, in_file in RENAMED.items():
        name = name.replace(in_memory, in_file)
    return name


def load_vit(name: str) -> ViTForImageClassification:
    """A committed ViT fixture in float64, ready for evaluation (no dropout, SDPA attention)."""
    # Eager attention would take its softmax in float32.
    model = ViTForImageClassification.from_pretrained(FIXTURES / name, attn_implementation="sdpa")
    return model.double().eval()


def load_batch(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The pixel values (float64) and labels (int64) of a committed ViT fixture."""
    expected = load_file(FIXTURES / name / "expected.safetensors")
    return expected["pixel_values"].double(), expected["labels"].long()


def normal(generator: torch.Generator, shape: torch.Size, scale: float) -> torch.Tensor:
    """Float64 samples of N(0, scale^2) which float32 holds exactly."""
    return torch.randn(shape, generator=generator, dtype=torch.float32).mul(scale).double()


def single(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor rounded to float32, still float64: what a reader of the fixture starts from."""
    return tensor.detach().float().double()


def save(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Writes tensors as float32 (integers as int32) in the order of their names."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def stored(tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point():
            return tensor.to(torch.int32)
        # What is zero but for float64 rounding (the gradient of a key's bias) is stored as zero.
        zero = tensor.abs() < 1e-12
        return tensor.detach().masked_fill(zero, 0).float().contiguous().clone()

    save_file({name: stored(tensors[name]) for name in sorted(tensors)}, path)
