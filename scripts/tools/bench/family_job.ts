/**
 * Models of every family at their published sizes, beside the reference implementations of PyTorch: one training step, or
 * one forward pass. Weights are random on both sides, so that nothing need be downloaded.
 *
 * @module
 */
import type { Precision } from "../../../dsl/mod.ts";
import type { Quantisation } from "../../../dsl/quantise.ts";
import { type Json, openModel } from "../../../models/mod.ts";
import type { StepJob } from "./job.ts";

/** What is to be measured of one model. `torch_families.py` speaks the same. */
export interface FamilyJob extends Omit<StepJob, "kind" | "config" | "folder"> {
  /** What kind of job it is. */
  readonly kind: "family";
  /** Preset. */
  readonly model: string;
  /** Its family. */
  readonly family: string;
  /** Its `config.json`, as transformers and diffusers read it. */
  readonly config: Json;
  /** A training step, a forward pass, or tokens that come after some, for language models. */
  readonly what: "step" | "forward" | "decode";
  /** Tokens of each example, for language models. */
  readonly length: number;
  /** What frozen weights of linear layers are kept as (default: as all others). */
  readonly quantise?: Quantisation;
  /** Weights are random, unless the model is a folder's. */
  readonly folder?: undefined;
  /** Threads of the wasm engine (default: the cores there are). */
  readonly threads?: number;
}

/** What weights are read for. */
export const readings: Readonly<Record<FamilyJob["what"], "steps" | "passes" | "decoding">> = {
  step: "steps",
  forward: "passes",
  decode: "decoding",
};

/** What a model is given. */
interface Size {
  readonly model: string;
  readonly what: FamilyJob["what"];
  readonly batch: number;
  readonly length: number;
  readonly precision: Precision;
  readonly quantise?: Quantisation;
  readonly byName?: true;
}

/** The largest published sizes that a machine of 24 GB trains; some only where they are asked for by name. */
const SIZES: readonly Size[] = [
  { model: "depth-anything-large", what: "forward", batch: 1, length: 0, precision: "float32" },
  { model: "depth-anything-large", what: "step", batch: 1, length: 0, precision: "float32" },
  { model: "dit-xl-2", what: "step", batch: 2, length: 0, precision: "float32" },
  { model: "tinyllama-1.1b", what: "step", batch: 1, length: 256, precision: "bf16" },
  { model: "llama-2-7b", what: "step", batch: 1, length: 256, precision: "bf16", quantise: "nf4", byName: true },
  { model: "llama-2-13b", what: "step", batch: 1, length: 256, precision: "bf16", quantise: "nf4", byName: true },
];

/** The models that ship with the package, as they are trained. */
const MICRO: readonly Size[] = [
  { model: "vit-micro", what: "step", batch: 64, length: 0, precision: "float32" },
  { model: "llama-micro", what: "step", batch: 64, length: 32, precision: "float32" },
  { model: "dit-micro", what: "step", batch: 64, length: 0, precision: "float32" },
  { model: "dpt-micro", what: "step", batch: 16, length: 0, precision: "float32" },
];

/**
 * The jobs.
 *
 * @param common Settings of all
 * @param sizes Published sizes, or the models that ship
 * @param own What differs from the usual of a model: only these presets, another method, other weights
 */
export async function familyJobs(
  common: Pick<FamilyJob, "backend" | "rate" | "weightDecay" | "warmup" | "repeats">,
  sizes: "published" | "micro",
  own: {
    readonly models?: readonly string[];
    readonly method?: string;
    readonly quantise?: Quantisation;
  } = {},
): Promise<readonly { readonly model: string; readonly job: FamilyJob }[]> {
  const wanted = (sizes === "micro" ? MICRO : SIZES).filter(({ model, byName }) =>
    own.models?.includes(model) ?? byName === undefined
  );
  return await Promise.all(wanted.map(async ({ model, byName: _byName, ...size }) => {
    const { family, config } = await openModel(model);
    const { method = "1lora", quantise = size.quantise } = own;
    const job: FamilyJob = { ...common, ...size, quantise, kind: "family", model, family, config, method };
    const kept = quantise === undefined ? model : `${model} in ${quantise}`;
    return { model: size.what === "forward" ? `${model} forward` : kept, job };
  }));
}
