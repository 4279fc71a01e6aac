"""Writes tests/fixtures/bitfit.safetensors: BitFit as its published code trains it, by AdamW on the biases themselves.

The biases of vit-rgb's encoder after STEPS steps of torch.optim.AdamW with weight decay on the batch of its fixture, by the
names in its file, but for the keys': attention does not depend on those, and AdamW makes steps of rounding of their gradients.
Computed in float64.
"""

import torch

from common import FIXTURES, load_batch, load_vit, published, save

STEPS, RATE, DECAY = 4, 0.02, 0.5


def main() -> None:
    model = load_vit("vit-rgb")
    pixels, labels = load_batch("vit-rgb")
    linears = {name: module for name, module in model.vit.named_modules() if isinstance(module, torch.nn.Linear)}
    model.requires_grad_(False)
    biases = {published(f"vit.{name}.bias"): module.bias.requires_grad_() for name, module in linears.items()}
    optimiser = torch.optim.AdamW(biases.values(), lr=RATE, weight_decay=DECAY)
    for _ in range(STEPS):
        optimiser.zero_grad()
        model(pixel_values=pixels, labels=labels).loss.backward()
        optimiser.step()
    kept = {name: bias.detach() for name, bias in biases.items() if ".key." not in name}
    save(FIXTURES / "bitfit.safetensors", kept)


if __name__ == "__main__":
    main()
