/**
 * What is measured on a card, in the order of what matters most: whoever has little time gets the first rows.
 *
 * @module
 */
import type { Precision } from "../../../dsl/mod.ts";

/** One step to be measured, ours or PyTorch's. */
export interface CardJob {
  /** Preset. */
  readonly model: string;
  /** Method; the head of a classifier is trained with every one. */
  readonly method: string;
  /** Examples. */
  readonly batch: number;
  /** Tokens of each, for language models. */
  readonly length: number;
  /** Precision; PyTorch's bf16 is autocast. */
  readonly precision: Precision;
  /** How it is run: ours as one function or in clusters, PyTorch's as written or compiled. */
  readonly how: "whole" | "clusters" | "eager" | "compiled";
  /** More of XLA's flags. */
  readonly flags?: string;
  /** What the row is called, where it is more than the rest says. */
  readonly note?: string;
  /** Timed steps. */
  readonly repeats: number;
}

/** What came of it. */
export interface CardAnswer {
  /** Seconds to the end of the first step, everything that comes before it included. */
  readonly first: number;
  /** Median and least milliseconds of a step whose batch is on the card. */
  readonly ms: number;
  readonly least: number;
  /** The same where every step is sent a batch of its own, if it was measured. */
  readonly sent?: number;
  /** Losses of the first steps. */
  readonly losses: readonly number[];
  /** Peak of the allocator, in bytes: what XLA's plan adds up to, or what PyTorch's allocator counts. */
  readonly bytes?: number;
}

const vit = { model: "vit-base", method: "1lora", batch: 64, length: 0, precision: "bf16", repeats: 30 } as const;

/** A small step, which shows on any machine that everything is there. */
const small = { ...vit, model: "vit-micro", batch: 8, repeats: 3 } as const;

/** Jobs by name, in order; `smoke` only where it is asked for. */
export const jobs: Readonly<Record<string, readonly CardJob[]>> = {
  "1lora": [{ ...vit, how: "whole" }],
  torch: [
    ...["1lora", "bitfit", "lora", "dora", "all"].map((method): CardJob => ({ ...vit, method, how: "eager" })),
    { ...vit, precision: "float32", how: "eager" },
    { ...vit, how: "compiled" },
  ],
  again: [{ ...vit, how: "whole", note: "second start" }],
  clusters: [{ ...vit, how: "clusters" }],
  methods: ["bitfit", "lora", "all", "dora"].map((method): CardJob => ({ ...vit, method, how: "whole" })),
  float32: [{ ...vit, precision: "float32", how: "whole" }],
  cublas: [{ ...vit, how: "whole", flags: "--xla_gpu_enable_triton_gemm=false", note: "products by cuBLAS alone" }],
  small: [
    { ...vit, batch: 10, how: "whole" },
    { ...vit, batch: 10, how: "eager" },
  ],
  smoke: [{ ...small, how: "whole" }, { ...small, how: "eager" }],
  families: [
    { ...vit, model: "tinyllama-1.1b", batch: 8, length: 512, repeats: 8, how: "eager" },
    { ...vit, model: "dit-xl-2", batch: 8, repeats: 10, how: "eager" },
    { ...vit, model: "depth-anything-large", batch: 4, repeats: 10, how: "eager" },
    { ...vit, model: "tinyllama-1.1b", batch: 8, length: 512, repeats: 8, how: "whole" },
    { ...vit, model: "dit-xl-2", batch: 8, repeats: 10, how: "whole" },
    { ...vit, model: "depth-anything-large", batch: 4, repeats: 10, how: "whole" },
  ],
};

/**
 * Whose step it is.
 *
 * @param job The job
 */
export function isTorch({ how }: CardJob): boolean {
  return how === "eager" || how === "compiled";
}
