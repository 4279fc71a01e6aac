"""Reference for resizing and random crops: Pillow's bilinear resize and torchvision's RandomResizedCrop.

Run: pip install numpy pillow==13.0.0 torch torchvision; python scripts/tools/reference/resize.py
Writes tests/fixtures/resize.json (images in base64).
"""

import base64
import json
import pathlib
import random

import numpy as np
import torch
from PIL import Image

try:
    from torchvision.transforms import RandomResizedCrop
except RuntimeError:
    # A torchvision built for another device leaves its compiled operators undeclared, which its own import then misses.
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision.transforms import RandomResizedCrop

FIXTURE = pathlib.Path(__file__).parents[3] / "tests" / "fixtures" / "resize.json"
SIZES = [  # height, width, channels, new height, new width
    (28, 28, 1, 28, 28),
    (28, 28, 1, 14, 14),
    (28, 28, 1, 20, 33),
    (17, 23, 3, 28, 28),
    (32, 32, 3, 57, 40),
    (32, 32, 3, 9, 32),
    (5, 3, 3, 28, 28),
    (1, 1, 3, 4, 4),
    (40, 61, 3, 7, 1),
    (64, 48, 1, 3, 5),
    (60, 20, 3, 30, 19),
    # Rows lost: twice the columns lost, and a little more and less, where Pillow changes the order of its two passes.
    (60, 40, 3, 20, 20),
    (61, 40, 3, 20, 20),
    (70, 40, 3, 20, 20),
    (59, 40, 3, 20, 20),
]
CROPS = [  # height, width, scale, ratio
    (32, 32, (0.08, 1.0), (3 / 4, 4 / 3)),
    (28, 28, (0.08, 1.0), (3 / 4, 4 / 3)),
    (333, 500, (0.08, 1.0), (3 / 4, 4 / 3)),
    (500, 40, (0.08, 1.0), (3 / 4, 4 / 3)),
    (9, 200, (0.5, 1.0), (3 / 4, 4 / 3)),
    (200, 7, (0.9, 1.0), (3 / 4, 4 / 3)),
    (48, 64, (0.9, 1.0), (0.5, 2.0)),
]


def image(rng, height, width, channels):
    """Half noise, half sharp edges: both rounding and clipping show."""
    noise = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    blocks = (rng.integers(0, 2, (height, width, channels)) * 255).astype(np.uint8)
    return np.where(rng.random((height, width, 1)) < 0.5, noise, blocks)


def resized(pixels, height, width):
    squeezed = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    out = Image.fromarray(squeezed).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(out).reshape(height, width, pixels.shape[2])


def box(height, width, scale, ratio, draws):
    """RandomResizedCrop.get_params with its random numbers taken from draws: area, ratio, top and left of each try."""
    state = {"try": -1, "next": 0}

    def uniform_(self, low, high):
        if state["next"] == 0:
            state["try"] += 1
        draw = draws[4 * state["try"] + state["next"]]
        state["next"] = 1 - state["next"]
        low, high = (torch.tensor(float(bound), dtype=torch.float32) for bound in (low, high))
        return torch.tensor([draw], dtype=torch.float32) * (high - low) + low

    positions = iter((2, 3))

    def randint(low, high, size):
        return torch.tensor([int(draws[4 * state["try"] + next(positions)] * (high - low)) + low])

    kept = torch.Tensor.uniform_, torch.randint
    torch.Tensor.uniform_, torch.randint = uniform_, randint
    try:
        return RandomResizedCrop.get_params(torch.zeros(3, height, width), list(scale), list(ratio))
    finally:
        torch.Tensor.uniform_, torch.randint = kept


def encoded(array):
    return base64.b64encode(array.tobytes()).decode()


def main():
    rng = np.random.default_rng(7)
    resizes = []
    for height, width, channels, new_height, new_width in SIZES:
        pixels = image(rng, height, width, channels)
        resizes.append({
            "height": height, "width": width, "channels": channels, "pixels": encoded(pixels),
            "newHeight": new_height, "newWidth": new_width, "resized": encoded(resized(pixels, new_height, new_width)),
        })
    colours = image(rng, 8, 8, 3)
    grey = np.asarray(Image.fromarray(colours).convert("L"))
    random.seed(7)
    crops = []
    for height, width, scale, ratio in CROPS:
        for _ in range(12):
            draws = [random.getrandbits(24) * 2**-24 for _ in range(40)]
            crops.append({
                "height": height, "width": width, "scale": scale, "ratio": ratio,
                "draws": encoded(np.array(draws, dtype="<f4")), "box": box(height, width, scale, ratio, draws),
            })
    fixture = {"resizes": resizes, "luminance": {"colours": encoded(colours), "grey": encoded(grey)}, "crops": crops}
    FIXTURE.write_text(json.dumps(fixture, indent=1) + "\n")


if __name__ == "__main__":
    main()
