/**
 * What a page does in a test of WebGPU: the small cases, each on the processor and through WebGPU, and a few steps.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import {
  adamw,
  type BackendName,
  compile,
  layerNorm,
  startResident,
  useBackend,
  valueAndGradients,
} from "../../dsl/mod.ts";
import { trace } from "../../dsl/compile/trace.ts";
import { cardTarget } from "../../dsl/compile/webgpu/kernel.ts";
import { replayAsSubmission } from "../../dsl/compile/webgpu/replay.ts";
import { gpuInUse } from "../../dsl/engine/webgpu/gpu.ts";
import { type GpuCase, gpuCases, numbers } from "./gpu_cases.ts";

/** What came of a case: the largest difference, and the largest number. */
export interface PageResult {
  readonly name: string;
  readonly difference: number;
  readonly largest: number;
}

async function ran(backend: BackendName, { f, inputs }: GpuCase): Promise<readonly (readonly number[])[]> {
  await useBackend(backend);
  return await Promise.all(compile(f)(...inputs()).map(async (tensor) => [...await tensor.data()]));
}

/** Losses of a few steps of a layer. */
async function losses(backend: BackendName): Promise<readonly number[]> {
  await useBackend(backend);
  const optimiser = adamw();
  const trained = { w: numbers([8, 8]) };
  const resident = startResident(
    ({ trained, frozen, optimiser: state }, { x, rate }) => {
      const { loss, gradients } = valueAndGradients((moving) => ({
        loss: tf.mean(tf.square(tf.matMul(x as tf.Tensor2D, moving.w as tf.Tensor2D))) as tf.Scalar,
      }))(trained);
      const next = optimiser.update(gradients, state, trained, rate as tf.Scalar);
      return [{ frozen, trained: next.params, optimiser: next.state }, { loss }];
    },
    { frozen: {}, trained, optimiser: optimiser.init(trained) },
    {
      onFallback: (line) => {
        throw new Error(line);
      },
    },
  );
  const batch = { x: numbers([4, 8], 1), rate: tf.scalar(0.01) };
  const found: number[] = [];
  for (let i = 0; i < 3; i++) found.push((await resident.step(batch)).loss);
  return found;
}

/** Sums over rows, long enough to be shared by threads. */
const rows: GpuCase = {
  f: (x, weight, bias) => [
    tf.softmax(x),
    tf.sum(x, 1),
    tf.max(x, 1),
    ...tf.grads((x) => layerNorm(tf.mul(x, tf.softmax(x)), { weight, bias }, 1e-6))([x]),
  ],
  inputs: () => [numbers([7, 516]), numbers([516], 1), numbers([516], 2)],
};

/** A case as a card computes it. */
async function asCard({ f, inputs }: GpuCase, subgroups: boolean): Promise<readonly (readonly number[])[]> {
  await useBackend("webgpu");
  const given = inputs();
  const traced = trace((xs) => f(...xs), given.map(({ shape, dtype }) => ({ shape, dtype })));
  const { replay } = replayAsSubmission(traced, {}, { ...cardTarget, subgroups });
  return await Promise.all(replay.run(given).map(async (tensor) => [...await tensor.data()]));
}

function compared(
  name: string,
  found: readonly (readonly number[])[],
  expected: readonly (readonly number[])[],
): PageResult {
  const largest = Math.max(...expected.flat().map(Math.abs));
  // Of something that is no number there is no difference that is one.
  const differences = expected.flatMap((values, i) => values.map((value, at) => Math.abs(value - found[i][at])));
  return { name, largest, difference: differences.reduce((most, each) => each <= most ? most : each, 0) };
}

/** Everything; nothing where there is no WebGPU. */
async function results(): Promise<readonly PageResult[] | undefined> {
  const { gpu } = navigator as { readonly gpu?: { requestAdapter(): Promise<unknown> } };
  if (gpu === undefined || await gpu.requestAdapter() === null) return undefined;
  const all: PageResult[] = [];
  for (const [name, each] of Object.entries(gpuCases)) {
    all.push(compared(name, await ran("webgpu", each), await ran("cpu", each)));
  }
  const name = "rows whose threads share memory";
  const expected = await ran("cpu", rows);
  all.push(compared(name, await asCard(rows, false), expected));
  await useBackend("webgpu");
  if (gpuInUse().device.features.has("subgroups")) {
    all.push(compared("rows by subgroups", await asCard(rows, true), expected));
  }
  all.push(compared("steps", [await losses("webgpu")], [await losses("cpu")]));
  return all;
}

Object.assign(globalThis, { results });
