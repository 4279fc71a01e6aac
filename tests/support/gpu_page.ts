/**
 * What a page does in a test of WebGPU: the small cases, each on the processor and through WebGPU, and a few steps.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { adamw, type BackendName, compile, startResident, useBackend, valueAndGradients } from "../../dsl/mod.ts";
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
  all.push(compared("steps", [await losses("webgpu")], [await losses("cpu")]));
  return all;
}

Object.assign(globalThis, { results });
