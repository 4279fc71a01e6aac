/**
 * Rotary frequencies of LLaMA models, plain and scaled to longer texts, as transformers 5 computes them
 * (`modeling_rope_utils.py`).
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { rotaryFrequencies, type RotaryWaves } from "../../dsl/ops/rotary.ts";
import { type Json, numberField, objectField, wrongField } from "../config.ts";

/** How frequencies are scaled, under the names of `rope_type`. */
export type RopeScaling =
  | LinearRope
  | DynamicRope
  | YarnRope
  | Llama3Rope;

/** All frequencies / factor (kaiokendev 2023). */
export interface LinearRope {
  /** `rope_type`. */
  readonly type: "linear";
  /** How much longer texts become. */
  readonly factor: number;
}

/** A larger base for texts longer than `max_position_embeddings`, which depends on their length (NTK-aware scaling). */
export interface DynamicRope {
  /** `rope_type`. */
  readonly type: "dynamic";
  /** How much longer texts become. */
  readonly factor: number;
}

/** Low frequencies / factor, high ones kept, a ramp between them (Peng et al. 2023). */
export interface YarnRope {
  /** `rope_type`. */
  readonly type: "yarn";
  /** How much longer texts become. */
  readonly factor: number;
  /** Longest text of the pre-training, in tokens. */
  readonly original: number;
  /** Factor of cosines and sines. */
  readonly attention: number;
  /** Turns within `original` above which a frequency is kept. */
  readonly fast: number;
  /** Turns within `original` below which a frequency is divided. */
  readonly slow: number;
  /** Whether the ramp's ends are rounded outwards to whole features. */
  readonly truncate: boolean;
}

/** Low frequencies / factor, high ones kept, a ramp between them by wave length (Llama 3.1). */
export interface Llama3Rope {
  /** `rope_type`. */
  readonly type: "llama3";
  /** How much longer texts become. */
  readonly factor: number;
  /** Longest text of the pre-training, in tokens. */
  readonly original: number;
  /** Waves longer than original / low are divided. */
  readonly low: number;
  /** Waves shorter than original / high are kept. */
  readonly high: number;
}

/** Rotary positions of a model. */
export interface Rope {
  /** Base of the frequencies. */
  readonly theta: number;
  /** How they are scaled, if they are. */
  readonly scaling?: RopeScaling;
}

/** Settings of each type; what is beside them there is refused by name. */
const SETTINGS: Readonly<Record<string, readonly string[]>> = {
  default: [],
  linear: ["factor"],
  dynamic: ["factor", "original_max_position_embeddings"],
  yarn: [
    "factor",
    "original_max_position_embeddings",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
  ],
  llama3: ["factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor"],
};

/** Known at every type: `finetuned` was written by YaRN's first authors and is read by nobody. */
const EVERYWHERE = ["rope_type", "type", "rope_theta", "partial_rotary_factor", "finetuned"];

/** A positive number that must be there. */
function needed(json: Json, where: string, name: string): number {
  if ((json[name] ?? undefined) === undefined) throw wrongField(where, json, `"${name}"`);
  return numberField(json, name, 1);
}

function yarnOf(json: Json, where: string, original: number, positions: number): YarnRope {
  const factor = json.factor === null ? positions / original : needed(json, where, "factor");
  const [mscale, all] = [json.mscale || 0, json.mscale_all_dim || 0];
  if (typeof mscale !== "number" || typeof all !== "number") throw wrongField(where, json, "numbers");
  const magnitude = (by: number) => factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1;
  const { truncate = true } = json;
  if (typeof truncate !== "boolean") throw wrongField(where, json, '"truncate" true or false');
  return {
    type: "yarn",
    factor,
    original,
    attention: numberField(
      json,
      "attention_factor",
      mscale !== 0 && all !== 0 ? magnitude(mscale) / magnitude(all) : magnitude(1),
    ),
    fast: numberField(json, "beta_fast", 32) || 32,
    slow: numberField(json, "beta_slow", 1) || 1,
    truncate,
  };
}

/**
 * The rotary positions of a `config.json`: `rope_parameters`, or, as older versions wrote it, `rope_scaling` and `rope_theta`.
 *
 * @param json The configuration
 * @param positions Its `max_position_embeddings`
 * @throws OneloraError for a type or a setting that is not known here
 */
export function readRope(json: Json, positions: number): Rope {
  // As transformers: a rope_scaling that says anything goes before rope_parameters.
  const where = Object.keys(objectField(json, "rope_scaling")).length > 0 ? "rope_scaling" : "rope_parameters";
  const settings = objectField(json, where);
  const theta = numberField(settings, "rope_theta", numberField(json, "rope_theta", 10000));
  const type = settings.rope_type ?? settings.type ?? "default";
  if (typeof type !== "string" || !Object.hasOwn(SETTINGS, type)) {
    throw wrongField(where, settings, `rope_type ${Object.keys(SETTINGS).join(", ")}`);
  }
  const unknown = Object.keys(settings).find((name) =>
    ![...EVERYWHERE, ...SETTINGS[type]].includes(name) && settings[name] !== null
  );
  if (unknown !== undefined) {
    throw wrongField(where, settings, `rope_type "${type}" with no "${unknown}": ${[...SETTINGS[type]].join(", ")}`);
  }
  for (const share of [settings.partial_rotary_factor, json.partial_rotary_factor]) {
    if ((share ?? 1) !== 1) throw wrongField("partial_rotary_factor", share, "1: all features of a head turn");
  }
  if (type === "default") return { theta };
  const outside = json.original_max_position_embeddings ?? undefined;
  const original = numberField(
    outside === undefined ? settings : json,
    "original_max_position_embeddings",
    positions,
  );
  switch (type) {
    case "yarn":
      return { theta, scaling: yarnOf(settings, where, original, positions) };
    case "llama3": {
      const [low, high] = [needed(settings, where, "low_freq_factor"), needed(settings, where, "high_freq_factor")];
      if (low >= high) throw wrongField(where, settings, '"low_freq_factor" below "high_freq_factor"');
      return { theta, scaling: { type, factor: needed(settings, where, "factor"), original, low, high } };
    }
    default:
      return { theta, scaling: { type: type as "linear" | "dynamic", factor: needed(settings, where, "factor") } };
  }
}

/**
 * To `rope_parameters`.
 *
 * @param rope The rotary positions
 */
export function writeRope({ theta, scaling }: Rope): Json {
  const base = { rope_theta: theta, rope_type: scaling?.type ?? "default" };
  switch (scaling?.type) {
    case undefined:
      return base;
    case "yarn":
      return {
        ...base,
        factor: scaling.factor,
        original_max_position_embeddings: scaling.original,
        attention_factor: scaling.attention,
        beta_fast: scaling.fast,
        beta_slow: scaling.slow,
        ...(scaling.truncate ? {} : { truncate: false }),
      };
    case "llama3":
      return {
        ...base,
        factor: scaling.factor,
        original_max_position_embeddings: scaling.original,
        low_freq_factor: scaling.low,
        high_freq_factor: scaling.high,
      };
    default:
      return { ...base, factor: scaling!.factor };
  }
}

/** 0 below `from`, 1 above `to`, a line between them. */
function ramp(x: number, from: number, to: number): number {
  return Math.min(1, Math.max(0, (x - from) / ((from === to ? to + 0.001 : to) - from)));
}

/** YaRN's share of each frequency that is divided, by feature: 0 to 1. */
function yarnShares({ original, fast, slow, truncate }: YarnRope, theta: number, size: number): readonly number[] {
  const featureOf = (turns: number) => size * Math.log(original / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
  const [first, last] = [featureOf(fast), featureOf(slow)];
  const from = Math.max(truncate ? Math.floor(first) : first, 0);
  const to = Math.min(truncate ? Math.ceil(last) : last, size - 1);
  return Array.from({ length: size / 2 }, (_, i) => ramp(i, from, to));
}

/**
 * Frequencies of the features of a head, and the factor of their cosines and sines.
 *
 * linear: f / s. dynamic: theta' = theta (s n / N - s + 1)^(hd / (hd - 2)) where the text's length n passes the longest of the
 * training, N. yarn: f (1 - r) + f r / s, r a ramp by feature. llama3: the same with a ramp by wave length 2 pi / f.
 *
 * @param rope The rotary positions
 * @param size Features of a head, hd, even
 * @param length Tokens of the text, those read before included
 * @param positions The model's `max_position_embeddings`
 * @throws OneloraError where hd is too small for the scaling
 */
export function ropeWaves({ theta, scaling }: Rope, size: number, length: number, positions: number): RotaryWaves {
  const plain = rotaryFrequencies(size, theta);
  switch (scaling?.type) {
    case undefined:
      return { frequencies: plain, scale: 1 };
    case "linear":
      return { frequencies: plain.map((f) => Math.fround(f / scaling.factor)), scale: 1 };
    case "dynamic": {
      if (size < 4) {
        throw new OneloraError({
          attempted: "scaling rotary positions",
          found: `heads of ${size}`,
          allowed: "4 or more",
        });
      }
      const { factor } = scaling;
      const longer = Math.max(length, positions) / positions * factor - (factor - 1);
      return { frequencies: rotaryFrequencies(size, theta * longer ** (size / (size - 2))), scale: 1 };
    }
    case "yarn": {
      const { factor, attention } = scaling;
      const shares = yarnShares(scaling, theta, size);
      return { frequencies: plain.map((f, i) => f * (1 - shares[i]) + f / factor * shares[i]), scale: attention };
    }
    case "llama3": {
      const { factor, original, low, high } = scaling;
      const kept = (f: number) => {
        const wave = 2 * Math.PI / f;
        if (wave < original / high) return f;
        if (wave > original / low) return f / factor;
        const share = (original / wave - low) / (high - low);
        return (1 - share) * f / factor + share * f;
      };
      return { frequencies: plain.map(kept), scale: 1 };
    }
  }
}
