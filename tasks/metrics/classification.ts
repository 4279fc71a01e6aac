/**
 * How good a classifier is, gathered batch by batch: accuracy, loss, top-5, calibration, confusion, error distribution.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";

/** What has been counted so far; a value, never changed in place. */
export interface ClassificationState {
  /** Number of classes, K. */
  readonly classes: number;
  /** Examples seen. */
  readonly count: number;
  /** Examples whose most probable class is the label. */
  readonly correct: number;
  /** Examples whose label is among the five most probable classes. */
  readonly correctTop5: number;
  /** Sum of -ln p(label). */
  readonly lossSum: number;
  /** Examples in each confidence bin. */
  readonly binCount: Float64Array;
  /** Correct examples in each confidence bin. */
  readonly binCorrect: Float64Array;
  /** Sum of the confidences in each bin. */
  readonly binConfidence: Float64Array;
  /** [K, K] counts: row is the label, column the prediction. */
  readonly confusion: Float64Array;
  /** Examples in each bin of the error 1 - p(label). */
  readonly errorCount: Float64Array;
}

/** One bin of the reliability diagram: confidences in (low, high]. */
export interface ReliabilityBin {
  /** Lower bound, not included. */
  readonly low: number;
  /** Upper bound, included. */
  readonly high: number;
  /** Examples in the bin. */
  readonly count: number;
  /** Share of them that is correct; 0 in an empty bin. */
  readonly accuracy: number;
  /** Their mean confidence; 0 in an empty bin. */
  readonly confidence: number;
}

/** One bin of the error histogram: errors in [low, high), the last bin with 1. */
export interface ErrorBin {
  /** Lower bound. */
  readonly low: number;
  /** Upper bound. */
  readonly high: number;
  /** Examples in the bin. */
  readonly count: number;
}

/** Everything measured, as data that JSON can hold. */
export interface ClassificationMetrics {
  /** Examples seen. */
  readonly count: number;
  /** Share of correct predictions, 0 to 1. */
  readonly accuracy: number;
  /** Mean cross-entropy in nats. */
  readonly loss: number;
  /** Share of labels among the five most probable classes (all of them, if there are fewer), 0 to 1. */
  readonly top5: number;
  /** Expected calibration error, 0 to 1. */
  readonly ece: number;
  /** The bins behind the calibration error. */
  readonly reliability: readonly ReliabilityBin[];
  /** Counts by label (row) and prediction (column). */
  readonly confusion: readonly (readonly number[])[];
  /** Histogram of 1 - p(label), as in the paper's Figure 11. */
  readonly errors: readonly ErrorBin[];
}

/**
 * The state before the first example.
 *
 * @param classes Number of classes
 * @param bins Equal-width confidence bins of the calibration error
 * @param errorBins Equal-width bins of the error histogram
 */
export function startClassification(classes: number, bins: number = 15, errorBins: number = 20): ClassificationState {
  if (![classes, bins, errorBins].every((value) => Number.isInteger(value) && value > 0)) {
    throw new OneloraError({
      attempted: "measuring a classifier",
      found: `${classes} classes, ${bins} confidence bins, ${errorBins} error bins`,
      allowed: "positive whole numbers",
    });
  }
  return {
    classes,
    count: 0,
    correct: 0,
    correctTop5: 0,
    lossSum: 0,
    binCount: new Float64Array(bins),
    binCorrect: new Float64Array(bins),
    binConfidence: new Float64Array(bins),
    confusion: new Float64Array(classes * classes),
    errorCount: new Float64Array(errorBins),
  };
}

/**
 * The state after a batch.
 *
 * Equal logits rank by class index, lowest first. Softmax runs in 64 bits.
 *
 * @param state The state before it
 * @param logits [batch, classes] in row-major order, finite
 * @param labels Label of each example
 */
export function updateClassification(
  state: ClassificationState,
  logits: Float32Array,
  labels: Int32Array,
): ClassificationState {
  const { classes } = state;
  const fail = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: "measuring a classifier", found, allowed });
  };
  if (logits.length !== labels.length * classes) {
    fail(`${logits.length} logits for ${labels.length} labels`, `${classes} a label`);
  }
  const wrong = labels.find((label) => label < 0 || label >= classes);
  if (wrong !== undefined) fail(`label ${wrong}`, `0 to ${classes - 1}`);
  const strange = logits.find((logit) => !Number.isFinite(logit));
  if (strange !== undefined) fail(`logit ${strange}`, "finite numbers");

  const binCount = state.binCount.slice();
  const binCorrect = state.binCorrect.slice();
  const binConfidence = state.binConfidence.slice();
  const confusion = state.confusion.slice();
  const errorCount = state.errorCount.slice();
  let { correct, correctTop5, lossSum } = state;
  labels.forEach((label, i) => {
    const row = logits.subarray(i * classes, (i + 1) * classes);
    let best = 0;
    let rank = 0;
    for (let j = 0; j < classes; j++) {
      if (row[j] > row[best]) best = j;
      if (row[j] > row[label] || (row[j] === row[label] && j < label)) rank++;
    }
    let others = 0;
    let rest = 0;
    for (let j = 0; j < classes; j++) {
      const weight = Math.exp(row[j] - row[best]);
      if (j !== best) others += weight;
      if (j !== label) rest += weight;
    }
    const sum = 1 + others;
    const confidence = 1 / sum;
    const hit = best === label ? 1 : 0;
    // Bin m holds confidences in ((m - 1) / M, m / M].
    const bin = Math.ceil(confidence * binCount.length) - 1;
    binCount[bin]++;
    binCorrect[bin] += hit;
    binConfidence[bin] += confidence;
    confusion[label * classes + best]++;
    // rest / sum rather than 1 - p(label), which cancels when p is near 1.
    errorCount[Math.min(errorCount.length - 1, Math.floor(rest / sum * errorCount.length))]++;
    correct += hit;
    correctTop5 += rank < 5 ? 1 : 0;
    lossSum += Math.log1p(others) + row[best] - row[label];
  });
  return {
    classes,
    count: state.count + labels.length,
    correct,
    correctTop5,
    lossSum,
    binCount,
    binCorrect,
    binConfidence,
    confusion,
    errorCount,
  };
}

/**
 * What has been measured.
 *
 * Calibration: ECE = sum over bins m of (n_m / N) |accuracy_m - confidence_m|, where bin m of M holds the examples whose
 * largest softmax probability lies in ((m - 1) / M, m / M] (Guo et al., "On Calibration of Modern Neural Networks", 2017).
 *
 * @param state The state after the last batch
 *
 * @example
 * ```ts
 * import { classificationMetrics, startClassification, updateClassification } from "@onelora/onelora/tasks";
 * import { assertAlmostEquals, assertEquals } from "@std/assert";
 * const state = updateClassification(startClassification(2), Float32Array.of(0, 0, 0, 0), Int32Array.of(0, 1));
 * const { accuracy, loss, confusion } = classificationMetrics(state);
 * assertEquals([accuracy, confusion], [0.5, [[1, 0], [1, 0]]]);
 * assertAlmostEquals(loss, Math.log(2));
 * ```
 */
export function classificationMetrics(state: ClassificationState): ClassificationMetrics {
  const { classes, count, binCount, binCorrect, binConfidence, confusion, errorCount } = state;
  if (count === 0) {
    throw new OneloraError({ attempted: "measuring a classifier", found: "no examples", allowed: "at least one" });
  }
  const bins = binCount.length;
  const reliability = Array.from(binCount, (n, m): ReliabilityBin => ({
    low: m / bins,
    high: (m + 1) / bins,
    count: n,
    accuracy: n === 0 ? 0 : binCorrect[m] / n,
    confidence: n === 0 ? 0 : binConfidence[m] / n,
  }));
  return {
    count,
    accuracy: state.correct / count,
    loss: state.lossSum / count,
    top5: state.correctTop5 / count,
    ece: reliability.reduce((sum, bin) => sum + bin.count / count * Math.abs(bin.accuracy - bin.confidence), 0),
    reliability,
    confusion: Array.from(
      { length: classes },
      (_, i) => Array.from(confusion.subarray(i * classes, (i + 1) * classes)),
    ),
    errors: Array.from(errorCount, (n, m): ErrorBin => ({
      low: m / errorCount.length,
      high: (m + 1) / errorCount.length,
      count: n,
    })),
  };
}
