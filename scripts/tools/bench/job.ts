/**
 * What a measuring process is told and what it answers, both as one line of JSON, and the loop that times steps.
 * `torch_peer.py` speaks the same.
 *
 * @module
 */
import process from "node:process";
import type { BackendName, Precision } from "../../../dsl/mod.ts";
import type { Json } from "../../../models/mod.ts";

/** The fields of a ViT's `config.json` that decide a step's work. */
export interface VitJson extends Json {
  /** Width D. */
  readonly hidden_size: number;
  /** Blocks. */
  readonly num_hidden_layers: number;
  /** Attention heads. */
  readonly num_attention_heads: number;
  /** Width of the MLP. */
  readonly intermediate_size: number;
  /** Image side in pixels, or [height, width]. */
  readonly image_size: number | readonly number[];
  /** Patch side in pixels, or [height, width]. */
  readonly patch_size: number | readonly number[];
  /** Image channels. */
  readonly num_channels: number;
  /** Added to the variance in layer norms. */
  readonly layer_norm_eps: number;
  /** Names of the classes. */
  readonly id2label: Readonly<Record<string, string>>;
}

/** Training steps to measure: forward, backward, AdamW, on one batch. */
export interface StepJob {
  /** What kind of job it is. */
  readonly kind: "step";
  /** The model's `config.json`. */
  readonly config: VitJson;
  /** Folder of its weights; random ones without. */
  readonly folder?: string;
  /** Adaptation method; the head is trained with every one. */
  readonly method: string;
  /** Images a step. */
  readonly batch: number;
  /** Precision. */
  readonly precision: Precision;
  /** Engine, where there is a choice. */
  readonly backend: BackendName;
  /** Learning rate. */
  readonly rate: number;
  /** AdamW's decoupled weight decay. */
  readonly weightDecay: number;
  /** Steps before the clock starts. */
  readonly warmup: number;
  /** Steps that are timed. */
  readonly repeats: number;
}

/** A measured step. */
export interface StepAnswer {
  /** What computed, in words. */
  readonly engine: string;
  /** Duration of every timed step. */
  readonly seconds: readonly number[];
  /** Loss before every step, untimed ones first. */
  readonly losses: readonly number[];
  /** Resident memory once the framework is loaded and before any weight is. */
  readonly baseBytes: number;
  /** Largest resident memory. */
  readonly peakBytes: number;
}

/** Height and width from a side or both. */
export function sides(value: number | readonly number[]): readonly [height: number, width: number] {
  return typeof value === "number" ? [value, value] : [value[0], value[1]];
}

/** A batch in plain memory. */
export interface HostBatch {
  /** [B, C, H, W], flat; number i is sin(i). */
  readonly pixels: Float32Array;
  /** [B, C, H, W] */
  readonly shape: readonly [number, number, number, number];
  /** [B]; number i is i modulo the classes. */
  readonly labels: Int32Array;
}

/**
 * The batch that every engine is given.
 *
 * @param job Model and batch size
 */
export function exampleBatch({ config, batch }: Pick<StepJob, "config" | "batch">): HostBatch {
  const shape = [batch, config.num_channels, ...sides(config.image_size)] as const;
  const classes = Object.keys(config.id2label).length;
  return {
    pixels: Float32Array.from({ length: shape.reduce((product, size) => product * size) }, (_, i) => Math.sin(i)),
    shape,
    labels: Int32Array.from({ length: batch }, (_, i) => i % classes),
  };
}

/** A step that is ready: does it once and returns the loss. */
export type ReadyStep = () => Promise<number>;

/**
 * Measures a step in this process. The framework must be loaded and warm, and nothing else.
 *
 * @param engine What computes, in words
 * @param job What to measure
 * @param prepare Loads the weights and makes the step
 */
export async function measureStep(
  engine: string,
  { warmup, repeats }: Pick<StepJob, "warmup" | "repeats">,
  prepare: () => Promise<ReadyStep>,
): Promise<StepAnswer> {
  const baseBytes = Deno.memoryUsage().rss;
  const step = await prepare();
  const [seconds, losses]: [number[], number[]] = [[], []];
  for (let i = 0; i < warmup + repeats; i++) {
    const began = performance.now();
    losses.push(await step());
    if (i >= warmup) seconds.push((performance.now() - began) / 1000);
  }
  return { engine, seconds, losses, baseBytes, peakBytes: process.resourceUsage().maxRSS * 1024 };
}

/**
 * The border of a measuring process: its job is the first argument, its answer the last line it prints.
 *
 * @param answer What it does
 */
export async function answer<Job, Answer>(answer: (job: Job) => Promise<Answer>): Promise<never> {
  try {
    console.log(JSON.stringify(await answer(JSON.parse(Deno.args[0]))));
    Deno.exit(0);
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}
