"""Reference for the Frechet distance: numpy's covariances and scipy's matrix square root, as pytorch-fid does it.

Run: python scripts/tools/reference/frechet.py
Writes tests/fixtures/frechet/features.safetensors and distances.json.

Where a covariance is singular, scipy's square root of the product has noise of about 1e-8 for every missing direction. There
the distance is taken from the features themselves, tr sqrt(C1 C2) = sum of singular values of X1 X2^T / sqrt((n1 - 1)(n2 - 1)) with
centred rows, which needs no square root of rounding errors; both must agree to 1e-6.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parents[3] / "tests" / "fixtures" / "frechet"
CASES = {  # images of either set, features, rank of the mixing (nothing: full), scale
    "plain": (60, 45, 8, None, 1.0),
    "wide": (200, 150, 32, None, 1.0),
    "few": (6, 9, 16, None, 1.0),
    "flat": (50, 40, 10, 3, 1.0),
    "large": (40, 40, 6, None, 1e3),
    "small": (40, 40, 6, None, 1e-3),
}


def distance(x, y):
    c1, c2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    gap = ((x.mean(0) - y.mean(0)) ** 2).sum()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_scipy = gap + np.trace(c1) + np.trace(c2) - 2 * np.trace(scipy.linalg.sqrtm(c1 @ c2)).real
    product = (x - x.mean(0)) @ (y - y.mean(0)).T / np.sqrt((len(x) - 1) * (len(y) - 1))
    by_features = gap + np.trace(c1) + np.trace(c2) - 2 * np.linalg.svd(product, compute_uv=False).sum()
    return float(by_scipy), float(by_features)


def main():
    rng = np.random.default_rng(11)
    features, distances = {}, {}
    for name, (first, second, size, rank, scale) in CASES.items():
        # Like a network's features: correlated, of unequal size, and not centred.
        mixing = rng.normal(size=(rank or size, size)) * np.logspace(0, -2, size)
        sets = [
            (scale * ((rng.normal(size=(count, rank or size)) * spread) @ mixing + shift)).astype(np.float32)
            for count, spread, shift in ((first, 1.0, 3.0), (second, 1.3, 3.2))
        ]
        by_scipy, by_features = distance(*(s.astype(np.float64) for s in sets))
        singular = min(first, second) <= size
        print(name, by_scipy, by_features, by_scipy / by_features - 1)
        assert abs(by_scipy / by_features - 1) < (1e-6 if singular or rank else 1e-7)
        distances[name] = by_features if singular or rank else by_scipy
        features |= {f"{name}.first": torch.tensor(sets[0]), f"{name}.second": torch.tensor(sets[1])}
    FOLDER.mkdir(parents=True, exist_ok=True)
    save_file(features, FOLDER / "features.safetensors")
    (FOLDER / "features.safetensors").chmod(0o644)
    (FOLDER / "distances.json").write_text(json.dumps(distances, indent=1) + "\n")


if __name__ == "__main__":
    main()
