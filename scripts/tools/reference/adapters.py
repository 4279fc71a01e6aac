"""Adapter fixtures: every method on the ViT of tests/fixtures/vit-rgb. Writes tests/fixtures/adapters/."""

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from common import FIXTURES, load_batch, load_vit, published
from methods import METHODS, Family, write

BASE = "vit-rgb"


def run(model: nn.Module) -> tuple[Tensor, Tensor]:
    pixel_values, labels = load_batch(BASE)
    logits = model(pixel_values).logits
    return logits, cross_entropy(logits, labels)


VIT = Family(
    base=BASE,
    load=lambda: load_vit(BASE),
    plain=lambda: load_vit(BASE),
    linears=["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2"],
    count=12,
    published=lambda name: published(name).removeprefix("vit."),
    run=run,
    head="classifier",
)


if __name__ == "__main__":
    write(FIXTURES / "adapters", VIT, list(METHODS), output="logits", keep_merged=True)
