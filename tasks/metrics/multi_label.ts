/**
 * How good a classifier of several labels a picture is: loss, mean average precision, F1, and every label for itself.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";

/** One label's numbers; a share of nothing is 0, as scikit-learn has it. */
export interface LabelMetrics {
  /** Its name. */
  readonly label: string;
  /** Examples that have it. */
  readonly support: number;
  /** Of those it was said of, the share that has it. */
  readonly precision: number;
  /** Of those that have it, the share that it was said of. */
  readonly recall: number;
  /** 2 precision recall / (precision + recall). */
  readonly f1: number;
  /** Area under precision by recall, sum over thresholds (R_n - R_{n-1}) P_n; nothing where no example has the label. */
  readonly averagePrecision?: number;
}

/** Everything measured, as data that JSON can hold. */
export interface MultiLabelMetrics {
  /** Examples seen. */
  readonly count: number;
  /** Mean binary cross-entropy in nats, over examples and labels. */
  readonly loss: number;
  /** Mean of the labels' average precision, those without an example left out; 0 if all are. */
  readonly map: number;
  /** F1 of all decisions together. */
  readonly f1Micro: number;
  /** Mean of the labels' F1. */
  readonly f1Macro: number;
  /** Share of examples of which every label is right. */
  readonly exact: number;
  /** Label by label. */
  readonly labels: readonly LabelMetrics[];
}

/** Logits and targets of some examples. */
export interface MultiLabelBatch {
  /** [examples, labels] in row-major order, finite. */
  readonly logits: Float32Array;
  /** The same shape; 1 where an example has a label, else 0. */
  readonly targets: Float32Array;
}

/** Average precision of scores: thresholds at every score, equal ones together. */
function averagePrecision(scores: Float32Array, hits: readonly boolean[]): number | undefined {
  const positives = hits.filter(Boolean).length;
  if (positives === 0) return undefined;
  const order = Uint32Array.from(scores, (_, i) => i).sort((a, b) => scores[b] - scores[a]);
  let [sum, found, before] = [0, 0, 0];
  order.forEach((example, rank) => {
    if (hits[example]) found++;
    if (rank + 1 < order.length && scores[order[rank + 1]] === scores[example]) return;
    sum += (found - before) / positives * (found / (rank + 1));
    before = found;
  });
  return sum;
}

const share = (part: number, whole: number) => whole === 0 ? 0 : part / whole;

/**
 * What a classifier of several labels is worth. A label is said of an example if its probability sigmoid(logit) is above
 * one half.
 *
 * @param names Names of the labels
 * @param batches All examples
 *
 * @example
 * ```ts
 * import { multiLabelMetrics } from "@onelora/onelora/tasks";
 * import { assertEquals } from "@std/assert";
 * const batch = { logits: Float32Array.of(2, -1, 1, 3), targets: Float32Array.of(1, 0, 0, 1) };
 * const { exact, map, f1Micro } = multiLabelMetrics(["night", "people"], [batch]);
 * assertEquals([exact, map, f1Micro], [0.5, 1, 0.8]);
 * ```
 */
export function multiLabelMetrics(names: readonly string[], batches: readonly MultiLabelBatch[]): MultiLabelMetrics {
  const width = names.length;
  const count = batches.reduce((sum, { logits }) => sum + logits.length, 0) / width;
  const fail = (found: string, allowed: string): never => {
    throw new OneloraError({ attempted: "measuring a classifier", found, allowed });
  };
  if (!(count > 0)) fail("no examples", "at least one");
  const at = (label: number, of: "logits" | "targets") =>
    batches.flatMap((batch) =>
      Array.from({ length: batch.logits.length / width }, (_, i) => batch[of][i * width + label])
    );
  let loss = 0;
  let exact = 0;
  for (const { logits, targets } of batches) {
    if (targets.length !== logits.length) fail(`${logits.length} logits for ${targets.length} targets`, "as many");
    for (let row = 0; row < logits.length; row += width) {
      let right = true;
      for (let i = row; i < row + width; i++) {
        if (!Number.isFinite(logits[i])) fail(`logit ${logits[i]}`, "finite numbers");
        loss += Math.max(logits[i], 0) - logits[i] * targets[i] + Math.log1p(Math.exp(-Math.abs(logits[i])));
        right &&= (logits[i] > 0) === (targets[i] > 0);
      }
      exact += right ? 1 : 0;
    }
  }
  const counts = names.map((label, k) => {
    const scores = Float32Array.from(at(k, "logits"));
    const hits = at(k, "targets").map((target) => target > 0);
    const said = scores.reduce((sum, score) => sum + (score > 0 ? 1 : 0), 0);
    const right = scores.reduce((sum, score, i) => sum + (score > 0 && hits[i] ? 1 : 0), 0);
    return { label, support: hits.filter(Boolean).length, said, right, precise: averagePrecision(scores, hits) };
  });
  const total = (of: "support" | "said" | "right") => counts.reduce((sum, each) => sum + each[of], 0);
  const labels = counts.map(({ label, support, said, right, precise }): LabelMetrics => ({
    label,
    support,
    precision: share(right, said),
    recall: share(right, support),
    f1: share(2 * right, said + support),
    ...(precise !== undefined && { averagePrecision: precise }),
  }));
  const known = labels.flatMap(({ averagePrecision: each }) => each === undefined ? [] : [each]);
  return {
    count,
    loss: loss / (count * width),
    map: share(known.reduce((sum, each) => sum + each, 0), known.length),
    f1Micro: share(2 * total("right"), total("said") + total("support")),
    f1Macro: labels.reduce((sum, { f1 }) => sum + f1, 0) / width,
    exact: exact / count,
    labels,
  };
}
