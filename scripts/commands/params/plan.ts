/**
 * The memory plans of a training step, and of what else is done with a model, as lines.
 *
 * @module
 */
import type { RecurrentPlan } from "../../../dsl/compile/plan_recurrent.ts";
import { keptForms } from "../../../dsl/engine/kinds.ts";
import type { BackendName, Precision, StepPlan } from "../../../dsl/mod.ts";
import type { StoredForm } from "../../../dsl/engine/stored.ts";
import { planDecoding } from "../../../models/llama/decoder.ts";
import { asLanguageModel, type Model } from "../../../models/mod.ts";
import { parameterTypes } from "../../../tasks/trainer/plan.ts";

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
    ...(atPeak.unpacked === 0
      ? []
      : [["numbers", bytesText(atPeak.unpacked), "of the stored matrix that is being read"] as const]),
    ["activations", bytesText(atPeak.activations), "at the peak, what is being computed included"],
    ["peak", bytesText(peakBytes), "all of it"],
    ["process", bytesText(plan.processBytes), "with what the engine and its compiled code take"],
    [
      "products",
      `${Math.round(productFlops / 1e9).toLocaleString("en-US")} GFLOP`,
      "matrix products and convolutions of a step",
    ],
  ];
  return rows.map(([name, amount, what]) => `${name.padEnd(13)}${amount.padStart(14)}  ${what}`.trimEnd());
}

/** Tokens that a plan of decoding lets come. */
const TOKENS = 256;

/**
 * The memory of going on with texts.
 *
 * @param model A language model
 * @param settings Texts at a time, their tokens, and how weights are kept
 */
export function planOfText(
  model: Model,
  { batch, length, backend, precision, forms }: {
    readonly batch: number;
    readonly length: number;
    readonly backend: BackendName;
    readonly precision: Precision;
    readonly forms: ReadonlyMap<string, StoredForm>;
  },
): RecurrentPlan {
  const types = parameterTypes(model.layer);
  const kept = new Map([...keptForms(backend, forms)].filter(([path]) => path in types));
  const language = asLanguageModel(model, model.layer);
  return planDecoding(language, types, { rows: batch, length, tokens: TOKENS, backend, precision, forms: kept });
}

/** What a process takes besides training, by what it does. */
export interface Phases {
  /** At the last of the weights. */
  readonly loading: number;
  /** Evaluating and predicting. */
  readonly forward: RecurrentPlan;
  /** A whole run of `train`, whose evaluations come between its steps: examples at a time in these, and the process. */
  readonly train: { readonly rows: number; readonly processBytes: number };
  /** Going on with texts, for language models. */
  readonly decoding?: RecurrentPlan;
}

/**
 * Lines of what a process takes besides training.
 *
 * @param phases What it does
 */
export function phaseLines({ loading, forward, train, decoding }: Phases): readonly string[] {
  const rows: readonly (readonly [string, number, string])[] = [
    ["loading", loading, "the process, at the last of the weights"],
    ["forward", forward.processBytes, "the process, in evaluations and predictions of as much at a time"],
    ["train", train.processBytes, `the whole command, its data and evaluations of ${train.rows} at a time included`],
    ...(decoding === undefined ? [] : [
      ["decoding", decoding.processBytes, `the process, with ${bytesText(decoding.kept)} of keys and values`] as const,
    ]),
  ];
  return rows.map(([name, bytes, what]) => `${name.padEnd(13)}${bytesText(bytes).padStart(14)}  ${what}`);
}
