/**
 * What is measured on a card, in the order of what matters most: whoever has little time gets the first rows.
 *
 * @module
 */
import type { BackendName, Precision } from "../../../dsl/mod.ts";

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
  /** Engine of ours (default tensorflow). */
  readonly backend?: BackendName;
  /** How it is run: ours as one function or in clusters, PyTorch's as written or compiled. */
  readonly how: "whole" | "clusters" | "eager" | "compiled";
  /**
   * What is counted besides the time: the allocator's peak, or the milliseconds of every kernel; or how pictures come: as bytes,
   * or as rows of a data set of bytes that stays on the card.
   */
  readonly what?: "memory" | "kernels" | "bytes" | "rows";
  /** More of XLA's flags. */
  readonly flags?: string;
  /** Folder of compiled programs of its own, below the results, instead of the user's. */
  readonly programs?: string;
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
  /** The same where every step is sent a batch of its own, if it was measured: before it, */
  readonly sent?: number;
  /** or while the step before computes. */
  readonly ahead?: number;
  /** Losses of the first steps. */
  readonly losses: readonly number[];
  /** Peak of the allocator, in bytes: the driver's count for ours, PyTorch's own for PyTorch. */
  readonly bytes?: number;
  /** Bytes that XLA's plan of the step adds up to. */
  readonly planned?: number;
}

/** Jobs that are measured one after the other. */
export interface JobGroup {
  /** The jobs. */
  readonly jobs: readonly CardJob[];
  /** Whether ours are made ready all at once, on all cores, before the first is timed. */
  readonly together?: boolean;
  /** Only where it is asked for. */
  readonly aside?: boolean;
}

const vit = { model: "vit-base", method: "1lora", batch: 64, length: 0, precision: "bf16", repeats: 30 } as const;

/** A small step, which shows on any machine that everything is there. */
const small = { ...vit, model: "vit-micro", batch: 8, repeats: 3 } as const;

/** A step through WebGPU, which needs the card's Vulkan driver. */
const webgpu = { ...vit, batch: 10, precision: "float32", backend: "webgpu", how: "whole", repeats: 10 } as const;

/** The other families at their largest. */
const families = [
  { ...vit, model: "tinyllama-1.1b", batch: 8, length: 512, repeats: 8 },
  { ...vit, model: "dit-xl-2", batch: 8, repeats: 10 },
  { ...vit, model: "depth-anything-large", batch: 4, repeats: 10 },
] as const;

/**
 * The same, with programs kept as XLA's newer way does: with their kernels and the order of their launches. The older one keeps
 * the optimised program and the kernels' code, and has Triton generate its kernels anew at every start, one after the other.
 */
const kernelsKept = {
  ...vit,
  how: "whole",
  repeats: 5,
  programs: "programs",
  flags: "--xla_gpu_experimental_aot_compiled_thunks=true",
} as const;

const methods = ["bitfit", "lora", "dora", "all"] as const;

/** Groups by name, in order: what goals were set for comes first. */
export const groups: Readonly<Record<string, JobGroup>> = {
  smoke: {
    jobs: [
      { ...small, how: "whole" },
      { ...webgpu, ...small, precision: "float32", note: "through WebGPU" },
      { ...small, how: "eager" },
    ],
    aside: true,
  },
  "1lora": { jobs: [{ ...vit, how: "eager" }, { ...vit, how: "compiled" }, { ...vit, how: "whole" }] },
  again: { jobs: [{ ...vit, how: "whole", note: "second start" }] },
  kept: {
    jobs: [
      { ...kernelsKept, note: "first start, kernels kept" },
      { ...kernelsKept, note: "second start, kernels kept" },
    ],
  },
  methods: {
    jobs: [{ ...vit, precision: "float32" } as const, ...[...methods].reverse().map((method) => ({ ...vit, method }))]
      .flatMap((job): readonly CardJob[] => [{ ...job, how: "eager" }, { ...job, how: "whole" }]),
    together: true,
  },
  families: {
    jobs: families.flatMap((job): readonly CardJob[] => [{ ...job, how: "eager" }, { ...job, how: "whole" }]),
    together: true,
  },
  memory: {
    jobs: [{ ...vit }, { ...vit, precision: "float32" } as const, { ...vit, method: "all" }].map((job): CardJob => ({
      ...{ ...job, how: "whole", what: "memory", repeats: 5, note: "the driver's allocator" },
    })),
    together: true,
  },
  bytes: {
    jobs: [
      { ...vit, how: "whole", what: "rows", note: "data on the device" },
      { ...vit, how: "whole", what: "bytes", note: "pictures as bytes" },
    ],
    together: true,
  },
  kernels: { jobs: [{ ...vit, how: "whole", what: "kernels", repeats: 10, note: "under CUPTI" }] },
  webgpu: {
    jobs: [
      { ...vit, batch: 10, precision: "float32", how: "eager" },
      { ...webgpu, note: "through WebGPU" },
      { ...webgpu, precision: "f16", note: "through WebGPU, weights in f16" },
    ],
  },
  clusters: { jobs: [{ ...vit, how: "clusters" }] },
  cublas: {
    jobs: [{ ...vit, how: "whole", flags: "--xla_gpu_enable_triton_gemm=false", note: "products by cuBLAS alone" }],
    aside: true,
  },
  small: { jobs: [{ ...vit, batch: 10, how: "whole" }, { ...vit, batch: 10, how: "eager" }], aside: true },
};

/**
 * Whose step it is.
 *
 * @param job The job
 */
export function isTorch({ how }: CardJob): boolean {
  return how === "eager" || how === "compiled";
}
