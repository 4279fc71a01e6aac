"""What transformers makes of a picture for Depth Anything, and the depth it predicts at the picture's own size.

Writes tests/fixtures/depth-prediction.json: sizes after resizing by the published processor's settings (518 pixels) and by
those of the fixtures' models; pictures with their pixel values and, for the metric fixture, depth resampled back as
Depth Anything's own code does it (bilinear, centres of pixels).
"""

import base64
import json

import numpy as np
import torch
from torch.nn.functional import interpolate
from transformers import DepthAnythingForDepthEstimation
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil, get_resize_output_image_size

from common import FIXTURES

FIXTURE = FIXTURES / "depth-prediction.json"
PICTURES = [(42, 42), (31, 47), (90, 60)]  # Of the first nothing is resized.
SIZES = [(480, 640), (375, 1242), (352, 1216), (518, 518), (1024, 768), (3000, 4000), (511, 525), (7, 500), (99, 101)]


def processor(size: int) -> DPTImageProcessorPil:
    """As in preprocessor_config.json of LiheYoung/depth-anything-*-hf, with another size."""
    return DPTImageProcessorPil(
        size={"height": size, "width": size},
        keep_aspect_ratio=True,
        ensure_multiple_of=14,
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
        do_pad=False,
    )


def resized(height: int, width: int, size: int) -> list[int]:
    result = get_resize_output_image_size(np.empty((3, height, width)), (size, size), True, 14)
    return [result.height, result.width]


def encoded(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def picture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Smooth with an edge and some noise."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 9 + c) * np.cos(y / 7 - c) for c in range(3)], -1)
    levels = 128 + 90 * waves + 60 * (x > width / 2)[..., None] + rng.normal(0, 12, (height, width, 3))
    return np.clip(levels, 0, 255).astype(np.uint8)


def main() -> None:
    rng = np.random.default_rng(11)
    more = [tuple(int(side) for side in rng.integers(40, 2500, 2)) for _ in range(60)]
    cases = [(height, width, 518) for height, width in SIZES + more]
    cases += [(height, width, 42) for height, width in PICTURES]
    model = DepthAnythingForDepthEstimation.from_pretrained(FIXTURES / "depth-metric").double().eval()
    fixture = {"sizes": [[*case, *resized(*case)] for case in cases], "pictures": []}
    for height, width in PICTURES:
        pixels = picture(rng, height, width)
        values = processor(42)(images=pixels, return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            depth = model(values.double()).predicted_depth
        back = interpolate(depth[:, None], size=(height, width), mode="bilinear", align_corners=False)[0, 0]
        fixture["pictures"].append({
            "height": height,
            "width": width,
            "pixels": encoded(pixels),
            "shape": list(values.shape[1:]),
            "values": encoded(values.numpy().astype("<f4")),
            "depth": encoded(back.numpy().astype("<f4")),
        })
    FIXTURE.write_text(json.dumps(fixture) + "\n")


if __name__ == "__main__":
    main()
