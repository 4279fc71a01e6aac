/**
 * Everything that was measured, as `--json` prints it.
 *
 * @module
 */
import { cpus } from "node:os";
import type { EngineResult } from "./engines.ts";
import type { KernelShare } from "./profile.ts";
import type { ScalingResult } from "./scaling.ts";
import type { CaseResult } from "./steps.ts";

/** Where it was measured. */
export interface Machine {
  /** Version of Deno. */
  readonly deno: string;
  /** Operating system and processor. */
  readonly target: string;
  /** The processor's name, where it can be read. */
  readonly processor?: string;
  /** Its cores. */
  readonly cores: number;
}

/** Kernels of one step. */
export interface ProfileResult {
  /** The model's name. */
  readonly model: string;
  /** Method. */
  readonly method: string;
  /** Images a step. */
  readonly batch: number;
  /** Precision. */
  readonly precision: string;
  /** What computed, in words. */
  readonly engine: string;
  /** Seconds of the step, with the clocks in it. */
  readonly seconds: number;
  /** Its kernels, most time first. */
  readonly kernels: readonly KernelShare[];
}

/** Everything that was measured; parts that were not asked for are absent. */
export interface Results {
  /** Where. */
  readonly machine: Machine;
  /** What engines can do at most. */
  readonly engine?: readonly EngineResult[];
  /** Our steps beside PyTorch's. */
  readonly peers?: readonly CaseResult[];
  /** Models of every family beside their reference implementations. */
  readonly families?: readonly CaseResult[];
  /** Steps of the models that ship on our engines, if they were measured. */
  readonly micro?: readonly CaseResult[];
  /** Our step in WebAssembly beside others'. */
  readonly wasm?: readonly CaseResult[];
  /** Our step through WebGPU beside others', if it was measured. */
  readonly webgpu?: readonly CaseResult[];
  /** Our step at several sizes. */
  readonly scaling?: readonly ScalingResult[];
  /** Where our steps' time goes. */
  readonly profile?: readonly ProfileResult[];
}

/** The machine. */
export function thisMachine(): Machine {
  const { version: { deno }, build: { target } } = Deno;
  return { deno, target, processor: cpus()[0]?.model, cores: navigator.hardwareConcurrency };
}
