"""Reference for classification metrics: torchmetrics, and the textbook formulas in numpy where it has none.

Run: pip install numpy torch torchmetrics; python scripts/tools/reference/metrics.py
Writes tests/fixtures/metrics.json.
"""

import json
import pathlib

import numpy as np
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
)

FIXTURE = pathlib.Path(__file__).parents[3] / "tests" / "fixtures" / "metrics.json"
EXAMPLES, CLASSES, BINS, ERROR_BINS = 300, 8, 15, 20


def main():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, CLASSES, EXAMPLES)
    logits = rng.normal(0, 1.5, (EXAMPLES, CLASSES))
    logits[np.arange(EXAMPLES), labels] += rng.choice([0.0, 2.0, 12.0], EXAMPLES)
    logits = np.round(logits, 4).astype(np.float32)

    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    probabilities = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
    truth = probabilities[np.arange(EXAMPLES), labels]
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == labels

    # Guo et al. (2017), equation 3: bin m holds confidences in ((m - 1) / M, m / M].
    reliability, ece = [], 0.0
    for m in range(BINS):
        held = (confidence > m / BINS) & (confidence <= (m + 1) / BINS)
        n = int(held.sum())
        accuracy = float(correct[held].mean()) if n else 0.0
        mean = float(confidence[held].mean()) if n else 0.0
        ece += n / EXAMPLES * abs(accuracy - mean)
        reliability.append({"count": n, "accuracy": accuracy, "confidence": mean})

    scores, target = torch.tensor(logits, dtype=torch.float64), torch.tensor(labels)
    expected = {
        "accuracy": multiclass_accuracy(scores, target, CLASSES, average="micro").item(),
        "top5": multiclass_accuracy(scores, target, CLASSES, average="micro", top_k=5).item(),
        "loss": torch.nn.functional.cross_entropy(scores, target).item(),
        "ece": ece,
        "eceTorchmetrics": multiclass_calibration_error(scores, target, CLASSES, n_bins=BINS, norm="l1").item(),
        "reliability": reliability,
        "confusion": multiclass_confusion_matrix(scores, target, CLASSES).tolist(),
        "errors": np.histogram(1 - truth, ERROR_BINS, (0, 1))[0].tolist(),
    }
    fixture = {"classes": CLASSES, "logits": [float(str(x)) for x in logits.ravel()], "labels": labels.tolist(), "expected": expected}
    FIXTURE.write_text(json.dumps(fixture) + "\n")


if __name__ == "__main__":
    main()
