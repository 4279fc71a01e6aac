"""Singular value decompositions by numpy, for tests/tasks/alignment_test.ts.

Run: python scripts/tools/reference/components.py
Writes tests/fixtures/components.json: matrices, their singular values, and |cos| of each right singular vector with ones
and with a ramp 1, 2, 3, ...
"""

import json
from pathlib import Path

import numpy as np

rng = np.random.default_rng(9)
CASES = {
    "wide": rng.normal(size=(9, 14)),
    "tall": rng.normal(size=(14, 9)),
    "rank 3": rng.normal(size=(12, 3)) @ rng.normal(size=(3, 10)),
    "small": 1e-9 * rng.normal(size=(6, 6)),
    "rank 1 along ones": np.outer(rng.normal(size=7), np.ones(5)),
}


def case(matrix):
    _, singular, right = np.linalg.svd(matrix, full_matrices=False)
    kept = singular > 1e-5 * singular[0]
    ramp = np.arange(1, matrix.shape[1] + 1)
    cosines = lambda x: (np.abs(right[kept] @ x) / np.linalg.norm(x)).tolist()
    return {
        "shape": matrix.shape,
        "values": matrix.ravel().tolist(),
        "singular": singular[kept].tolist(),
        "ones": cosines(np.ones(matrix.shape[1])),
        "ramp": cosines(ramp),
        "first": right[0].tolist(),
    }


path = Path(__file__).resolve().parents[3] / "tests" / "fixtures" / "components.json"
path.write_text(json.dumps({name: case(matrix) for name, matrix in CASES.items()}) + "\n")
