"""Reference for the depth task: Depth Anything's loss (in PyTorch) and metrics (in numpy), written from its protocol, and
Pillow's rotation.

Run: pip install numpy pillow==13.0.0 torch; python scripts/tools/reference/depth_metrics.py
Writes tests/fixtures/depth.json (maps in base64, little endian).
"""

import base64
import json
import pathlib

import numpy as np
import torch
from PIL import Image

FIXTURE = pathlib.Path(__file__).parents[3] / "tests" / "fixtures" / "depth.json"


def packed(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def silog(prediction, truth, mask):
    prediction = torch.nn.functional.interpolate(
        prediction[:, None], truth.shape[-2:], mode="bilinear", align_corners=True
    )[:, 0]
    g = torch.log(prediction[mask] + 1e-7) - torch.log(truth[mask] + 1e-7)
    return 10 * torch.sqrt(torch.var(g) + 0.15 * torch.mean(g) ** 2)


def loss_case(rng, shape, size, far):
    """Noise with a bias; a third of the pixels was not measured, some of it with values that no logarithm takes."""
    truth = rng.uniform(0.5, far, shape).astype(np.float32)
    truth[rng.random(shape) < 0.3] = 0
    truth[0, 0, 0], truth[0, 0, 1] = -3, np.nan
    prediction = rng.uniform(0.2, far, (shape[0], *size)).astype(np.float32)
    mask = (truth > 1e-3) & (truth < 0.9 * far)
    p = torch.tensor(prediction, dtype=torch.float64, requires_grad=True)
    loss = silog(p, torch.tensor(truth, dtype=torch.float64), torch.tensor(mask))
    loss.backward()
    return {
        "shape": shape,
        "size": size,
        "far": 0.9 * far,
        "prediction": packed(prediction),
        "truth": packed(truth),
        "loss": loss.item(),
        "gradient": packed(p.grad.numpy().astype(np.float32)),
    }


def metrics(prediction, truth, protocol):
    low, high, crop = protocol["minDepth"], protocol["maxDepth"], protocol["crop"]
    prediction = np.clip(prediction.astype(np.float64), low, high)
    truth = truth.astype(np.float64)
    valid = (truth > low) & (truth < high)
    h, w = truth.shape
    inside = np.zeros_like(valid)
    if crop == "eigen":
        inside[45:471, 41:601] = True
    elif crop == "garg":
        inside[int(0.40810811 * h) : int(0.99189189 * h), int(0.03594771 * w) : int(0.96405229 * w)] = True
    else:
        inside[:] = True
    p, t = prediction[valid & inside], truth[valid & inside]
    ratio = np.maximum(t / p, p / t)
    d = np.log(p) - np.log(t)
    return {
        "absRel": np.mean(np.abs(t - p) / t),
        "sqRel": np.mean((t - p) ** 2 / t),
        "rmse": np.sqrt(np.mean((t - p) ** 2)),
        "rmseLog": np.sqrt(np.mean((np.log(t) - np.log(p)) ** 2)),
        "log10": np.mean(np.abs(np.log10(t) - np.log10(p))),
        "delta1": np.mean(ratio < 1.25),
        "delta2": np.mean(ratio < 1.25**2),
        "delta3": np.mean(ratio < 1.25**3),
        "silog": 100 * np.sqrt(np.mean(d**2) - np.mean(d) ** 2),
    }


def smooth(rng, shape, low, high):
    """A coarse random map, enlarged: small in the fixture, of any size in the test."""
    coarse = rng.uniform(low, high, (6, 8)).astype(np.float32)
    tensor = torch.tensor(coarse, dtype=torch.float32)[None, None]
    fine = torch.nn.functional.interpolate(tensor, shape, mode="bilinear", align_corners=True)[0, 0].numpy()
    return coarse, fine


def metric_case(rng, name, shape, low, high, crop, pictures=3):
    protocol = {"minDepth": 1e-3, "maxDepth": high, "crop": crop}
    images, expected = [], []
    for _ in range(pictures):
        # Beyond the range at either end, so that clamping and masking show.
        coarse_p, p = smooth(rng, shape, -0.2 * high, 1.3 * high)
        coarse_t, t = smooth(rng, shape, low, 1.1 * high)
        t = np.where(t < 1.5 * low, 0, t)
        images.append({"prediction": packed(coarse_p), "truth": packed(coarse_t)})
        expected.append(metrics(p, t, protocol))
    average = {name: float(np.mean([each[name] for each in expected])) for name in expected[0]}
    return {"name": name, "shape": shape, "low": 1.5 * low, "protocol": protocol, "images": images, "expected": average}


def rotate_case(rng, height, width, angle):
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    depth = rng.integers(1, 60000, (height, width)).astype(np.int32)
    return {
        "height": height,
        "width": width,
        "angle": angle,
        "pixels": packed(pixels),
        "depth": packed(depth.astype(np.float32)),
        "rotatedPixels": packed(np.asarray(Image.fromarray(pixels).rotate(angle, Image.Resampling.BILINEAR))),
        "rotatedDepth": packed(
            np.asarray(Image.fromarray(depth, "I").rotate(angle, Image.Resampling.NEAREST)).astype(np.float32)
        ),
    }


def main():
    rng = np.random.default_rng(11)
    fixture = {
        "losses": [
            loss_case(rng, (2, 9, 12), (9, 12), 10.0),
            loss_case(rng, (3, 11, 10), (5, 7), 80.0),
            loss_case(rng, (1, 4, 5), (8, 9), 10.0),
        ],
        "metrics": [
            metric_case(rng, "NYU", (480, 640), 0.5, 10.0, "eigen"),
            metric_case(rng, "KITTI", (352, 1216), 1.0, 80.0, "garg"),
            metric_case(rng, "DIODE indoor", (60, 75), 0.5, 80.0, "none"),
        ],
        "rotations": [
            rotate_case(rng, 12, 17, 0.83),
            rotate_case(rng, 30, 41, -1.0),
            rotate_case(rng, 9, 9, 0.0),
            rotate_case(rng, 25, 8, 0.41),
            rotate_case(rng, 14, 19, 23.0),  # far enough for what lies beyond the edges to come into view
        ],
    }
    FIXTURE.write_text(json.dumps(fixture) + "\n")


if __name__ == "__main__":
    main()
