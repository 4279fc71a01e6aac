/**
 * The memory plan of a training step as lines.
 *
 * @module
 */
import type { StepPlan } from "../../../dsl/mod.ts";

const UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

/** Fewer bytes are not worth a line: until the update, a step counter is all that there is of the next step. */
const LEAST = 1000;

/** A number of bytes in words: `1.36 GB`. */
export function bytesText(bytes: number): string {
  const power = Math.min(Math.max(0, Math.floor(Math.log10(bytes) / 3)), UNITS.length - 1);
  const scaled = bytes / 1000 ** power;
  return `${power === 0 ? scaled : scaled.toFixed(scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0)} ${UNITS[power]}`;
}

/**
 * Lines of name, bytes and what they are.
 *
 * @param plan The plan
 */
export function planLines(plan: StepPlan): readonly string[] {
  const { weights, trained, gradients, optimiser, atPeak, peakBytes, productFlops } = plan;
  const types = Object.entries(weights).filter(([, bytes]) => bytes > 0)
    .map(([type, bytes]) => `${type} ${bytesText(bytes)}`).join(", ");
  const rows: readonly (readonly [string, string, string])[] = [
    ["weights", bytesText(atPeak.frozen), `frozen: ${types || "none"}`],
    ["trained", bytesText(trained), ""],
    ["gradients", bytesText(gradients), `${bytesText(atPeak.gradients)} of them at the peak`],
    ["optimiser", bytesText(optimiser), "AdamW's two moments"],
    ...(atPeak.next < LEAST
      ? []
      : [["next", bytesText(atPeak.next), "state of the next step that is there at the peak"] as const]),
    ["inputs", bytesText(atPeak.batch + atPeak.constants), "batch and constants"],
    ["activations", bytesText(atPeak.activations), "at the peak, what is being computed included"],
    ["peak", bytesText(peakBytes), "all of it"],
    [
      "products",
      `${Math.round(productFlops / 1e9).toLocaleString("en-US")} GFLOP`,
      "matrix products and convolutions of a step",
    ],
  ];
  return rows.map(([name, amount, what]) => `${name.padEnd(13)}${amount.padStart(14)}  ${what}`.trimEnd());
}
