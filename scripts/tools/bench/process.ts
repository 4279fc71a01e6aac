/**
 * Measuring processes: each measurement runs in a process of its own, so that its memory is its own too.
 *
 * @module
 */
import { fileOf } from "../../../dsl/files/path.ts";
import { OneloraError } from "../../../dsl/error.ts";
import { childOutput, type Surroundings } from "../../cli/child.ts";
import { onDemandArguments, taskArguments, taskEnvironment } from "../../cli/deno.ts";
import type { FamilyJob } from "./family_job.ts";
import type { StepJob } from "./job.ts";
import type { ProductJob } from "./products.ts";

/** One of our measuring processes, by its file here. */
export type Worker = "ours" | "family" | "plain" | "jax" | "products";

/** Root of the checkout. */
const root = new URL("../../../", import.meta.url);

/** A file of this folder as a path. */
function here(name: string): string {
  return fileOf(new URL(name, import.meta.url));
}

/** What `deno run` printed, in the checkout. */
async function output(args: readonly string[], surroundings: Surroundings): Promise<string> {
  return await childOutput(args, { folder: root, ...surroundings });
}

/** The last line of what a process printed, as JSON. */
async function lastLine<Answer>(args: readonly string[], surroundings: Surroundings): Promise<Answer> {
  return JSON.parse((await output(args, surroundings)).split("\n").at(-1)!);
}

/** Permissions of a worker: where our engine runs, those of training. */
function permissions(worker: Worker): readonly string[] {
  if (worker === "plain" || worker === "jax") return [...onDemandArguments(), "--ignore-env", "--allow-read"];
  return taskArguments("train");
}

/**
 * Runs one of our measuring processes.
 *
 * @param worker Which
 * @param job What it measures
 * @param more Further arguments
 */
export async function measure<Answer>(
  worker: Worker,
  job: StepJob | FamilyJob | ProductJob,
  ...more: readonly string[]
): Promise<Answer> {
  const args = [...permissions(worker), here(`${worker}.ts`), JSON.stringify(job), ...more];
  // Lets TensorFlow's library compute products of float32 tensors in bf16; our steps have bf16 tensors.
  const isHalf = job.kind === "product" && job.precision === "bf16";
  const env = isHalf ? { ONEDNN_DEFAULT_FPMATH_MODE: "BF16" } : taskEnvironment("train");
  return await lastLine(args, { attempted: `measuring ${worker}`, env });
}

/**
 * Python is started by a process that may start nothing else, so that a command that may run deno alone can run the
 * Python it is told of.
 */
function withPython(python: string, ...args: readonly string[]): readonly string[] {
  return [`--allow-run=${python}`, here("python.ts"), python, ...args];
}

/**
 * Runs PyTorch's measuring process.
 *
 * @param python Path or name of the interpreter
 * @param job What it measures
 */
export async function measureTorch<Answer>(python: string, job: object): Promise<Answer> {
  const args = withPython(python, here("torch_peer.py"), JSON.stringify(job));
  return await lastLine(args, { attempted: "measuring PyTorch" });
}

/**
 * Why PyTorch, transformers and PEFT cannot be used; nothing if they can.
 *
 * @param python Path or name of the interpreter
 */
export async function whyNoTorch(python: string): Promise<string | undefined> {
  try {
    await output(withPython(python, "-c", "import torch, transformers, peft"), { attempted: "looking for PyTorch" });
    return undefined;
  } catch (error) {
    if (error instanceof OneloraError) return error.problem.found;
    throw error;
  }
}
