"""Reference for classifiers of several labels: PyTorch's loss and its gradient, scikit-learn's metrics.

Run: pip install numpy scikit-learn torch; python scripts/tools/reference/multi_label.py
Writes tests/fixtures/multi_label.json.
"""

import json
import pathlib
import warnings

import numpy as np
import torch
from sklearn.metrics import average_precision_score, f1_score, precision_recall_fscore_support

FIXTURE = pathlib.Path(__file__).parents[3] / "tests" / "fixtures" / "multi_label.json"
EXAMPLES, LABELS = 60, 6


def main():
    rng = np.random.default_rng(4)
    targets = (rng.random((EXAMPLES, LABELS)) < [0.5, 0.2, 0.1, 0.8, 0.3, 0.0]).astype(int)
    # One decimal, so that there are equal scores; one label that is never said, one that no example has.
    logits = np.round(rng.normal(0, 2, (EXAMPLES, LABELS)) + 1.5 * targets - [0, 0, 9, 0, 0, 0], 1).astype(np.float32)
    x, y = torch.tensor(logits, dtype=torch.float64, requires_grad=True), torch.tensor(targets, dtype=torch.float64)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(x, y)
    loss.backward()
    said = (logits > 0).astype(int)
    precision, recall, f1, support = precision_recall_fscore_support(targets, said, average=None, zero_division=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        average = [average_precision_score(targets[:, k], logits[:, k]) if targets[:, k].any() else None for k in range(LABELS)]
    expected = {
        "loss": loss.item(),
        "map": float(np.mean([each for each in average if each is not None])),
        "f1Micro": f1_score(targets, said, average="micro", zero_division=0),
        "f1Macro": f1_score(targets, said, average="macro", zero_division=0),
        "exact": float((targets == said).all(1).mean()),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "support": support.tolist(),
        "averagePrecision": average,
    }
    numbers = {"logits": [float(str(v)) for v in logits.ravel()], "targets": targets.ravel().tolist()}
    fixture = {"labels": LABELS, **numbers, "expected": expected, "gradient": x.grad.ravel().tolist()}
    FIXTURE.write_text(json.dumps(fixture) + "\n")


if __name__ == "__main__":
    main()
