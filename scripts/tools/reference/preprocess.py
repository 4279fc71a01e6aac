"""Reference for the preparation of images for diffusion: Pillow's box and bicubic filters, and DiT's centre crop.

Run: pip install numpy pillow==13.0.0 torch; python scripts/tools/reference/preprocess.py
Writes tests/fixtures/preprocess.json (images in base64).
"""

import base64
import json
import pathlib

import numpy as np
import torch
from PIL import Image

FIXTURE = pathlib.Path(__file__).parents[3] / "tests" / "fixtures" / "preprocess.json"
SIZES = [  # height, width, channels, new height, new width
    (28, 28, 1, 14, 14),
    (17, 23, 3, 8, 11),
    (17, 23, 3, 40, 40),
    (9, 31, 3, 9, 12),
    (40, 7, 1, 5, 3),
]
CROPS = [  # height, width, channels, size
    (28, 28, 1, 28),
    (40, 60, 3, 32),
    (61, 45, 3, 16),
    (130, 97, 3, 12),
    (20, 30, 1, 28),
    (64, 64, 1, 32),
    (75, 31, 3, 30),
]


def image(rng, height, width, channels):
    """Half noise, half sharp edges: both rounding and clipping show."""
    noise = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    blocks = (rng.integers(0, 2, (height, width, channels)) * 255).astype(np.uint8)
    return np.where(rng.random((height, width, 1)) < 0.5, noise, blocks)


def encoded(array):
    return base64.b64encode(array.tobytes()).decode()


def pillow(pixels):
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def centre_crop(picture, size):
    """Halve by the box filter while both sides allow, resize the shorter side by the bicubic one, cut the middle out."""
    while min(picture.size) >= 2 * size:
        picture = picture.resize(tuple(side // 2 for side in picture.size), Image.Resampling.BOX)
    scale = size / min(picture.size)
    picture = picture.resize(tuple(round(side * scale) for side in picture.size), Image.Resampling.BICUBIC)
    top, left = (picture.height - size) // 2, (picture.width - size) // 2
    return np.asarray(picture)[top : top + size, left : left + size]


def main():
    rng = np.random.default_rng(9)
    fixture = {"resizes": [], "crops": []}
    for height, width, channels, new_height, new_width in SIZES:
        pixels = image(rng, height, width, channels)
        for filter in ("box", "bicubic"):
            out = pillow(pixels).resize((new_width, new_height), Image.Resampling[filter.upper()])
            fixture["resizes"].append({
                "height": height, "width": width, "channels": channels, "pixels": encoded(pixels), "filter": filter,
                "newHeight": new_height, "newWidth": new_width, "resized": encoded(np.asarray(out)),
            })
    for height, width, channels, size in CROPS:
        pixels = image(rng, height, width, channels)
        fixture["crops"].append({
            "height": height, "width": width, "channels": channels, "pixels": encoded(pixels), "size": size,
            "cropped": encoded(np.ascontiguousarray(centre_crop(pillow(pixels), size))),
        })
    values = torch.cat([torch.tensor([-3, -1, -0.9999, -0.5, -0.0001, 0, 0.0001, 0.5, 0.9999, 1, 3]), torch.randn(50)])
    fixture["bytes"] = {
        "values": encoded(values.numpy().astype("<f4")),
        "bytes": encoded(torch.clamp(127.5 * values + 128.0, 0, 255).to(torch.uint8).numpy()),
    }
    FIXTURE.write_text(json.dumps(fixture, indent=1) + "\n")


if __name__ == "__main__":
    torch.manual_seed(9)
    main()
