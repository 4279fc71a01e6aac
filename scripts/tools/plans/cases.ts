/**
 * What plans of memory are compared on: models of every family, methods, precisions, steps, forward passes and decoding.
 *
 * @module
 */
import type { Precision } from "../../../dsl/mod.ts";
import type { Quantisation } from "../../../dsl/quantise.ts";
import type { FamilyJob } from "../bench/family_job.ts";

/** A plan to be compared with what a process takes. */
export interface PlanCase {
  /** Preset or folder. */
  readonly model: string;
  /** What is computed. */
  readonly what: FamilyJob["what"];
  /** Method; none for the model as it is. */
  readonly method: string;
  /** Examples. */
  readonly batch: number;
  /** Tokens of each, where examples are texts. */
  readonly length: number;
  /** Precision. */
  readonly precision: Precision;
  /** What frozen weights of linear layers are kept as. */
  readonly quantise?: Quantisation;
}

/**
 * Cases as they are written.
 *
 * @param lines `MODEL WHAT METHOD BATCH[xLENGTH] PRECISION [QUANTISE]`, a line each
 */
export function casesOf(lines: string): readonly PlanCase[] {
  return lines.trim().split("\n").map((line) => {
    const [model, what, method, size, precision, quantise] = line.trim().split(/ +/);
    const [batch, length = 0] = size.split("x").map(Number);
    return {
      ...{ model, method, batch, length },
      what: what as PlanCase["what"],
      precision: precision as Precision,
      quantise: quantise as Quantisation | undefined,
    };
  });
}

/**
 * The cases.
 *
 * @param language A language model's folder of some hundred million parameters
 */
export function planCases(language: string): readonly PlanCase[] {
  return casesOf(`
    vit-base step 1lora+head 10 float32
    depth-anything-large forward 1lora 1 float32
    depth-anything-large step 1lora 1 float32
    dit-xl-2 step 1lora 2 float32
    vit-base step 1lora+head 10 bf16
    vit-base step all 10 float32
    vit-base step all 10 bf16
    vit-base step lora+head 10 float32
    vit-base step bitfit+head 10 bf16
    vit-base step dora+head 4 float32
    vit-base step vera+head 4 bf16
    vit-base forward head 32 float32
    vit-base forward head 1 float32
    deit-small-distilled step 1lora+head 16 float32
    depth-anything-small step 1lora 2 float32
    depth-anything-small step all 1 float32
    depth-anything-small forward 1lora 1 float32
    depth-anything-base forward 1lora 1 float32
    dpt-micro step 1lora 16 float32
    dpt-micro forward 1lora 16 float32
    dit-micro step 1lora 64 float32
    dit-xl-2 step bitfit 1 float32
    dit-xl-2 forward 1lora 8 float32
    tinyllama-1.1b step 1lora 1x256 bf16
    tinyllama-1.1b step lora 1x256 bf16 nf4
    ${language} step 1lora 8x96 bf16
    ${language} step lora 2x256 bf16
    ${language} step all 4x64 float32
    ${language} step bitfit 4x128 bf16 int8
    ${language} step 1lora 4x128 bf16 nf4
    ${language} forward 1lora 8x128 float32
    ${language} forward 1lora 8x128 bf16
    ${language} forward 1lora 8x128 bf16 nf4
    ${language} decode 1lora 1x32 float32
    ${language} decode 1lora 1x32 bf16
    ${language} decode 1lora 8x64 bf16
    ${language} decode 1lora 1x32 bf16 nf4
    deit-tiny-distilled step lora+head 32 float32
    deit-small-distilled step dora+head 8 bf16
    vit-base step head 24 bf16
    vit-large forward head 4 float32
    depth-anything-small step lora 1 float32
    dit-micro step all 32 float32
    llama-micro step lora 32x32 float32
    ${language} step vera 2x64 float32
    ${language} step lora 8x32 bf16 nf4
    ${language} forward lora 2x512 float32
    ${language} decode 1lora 2x16 float32
    vit-micro step bitfit+head 256 float32
    llama-micro step all 64x32 float32
    dpt-micro step lora 8 float32
    dit-micro forward lora 128 float32
    deit-tiny-distilled step all 64 float32
    deit-small-distilled step lora+head 32 bf16
    deit-small-distilled forward head 64 float32
    vit-base step difffit+head 8 float32
    vit-base step mora1+head 6 bf16
    vit-base forward 1lora+head 16 float32
    depth-anything-small step bitfit 1 float32
    ${language} step lora 4x128 float32
    ${language} step dora 2x128 bf16
    ${language} step 1lora 1x512 bf16
    ${language} step mora6 2x64 bf16 int8
    ${language} forward dora 1x768 bf16
    ${language} decode lora 4x32 float32
    ${language} decode lora 1x256 bf16
    ${language} decode 1lora 2x64 bf16 int8
  `);
}
