/**
 * # onelora
 *
 * Very-low-rank fine-tuning on tfjs: 1LoRA (y = W0 x + b * sum(x), one trainable vector per linear layer) beside LoRA,
 * DoRA, VeRA, MoRA, BitFit, DiffFit, full fine-tuning and their combinations.
 *
 * The tour, room by room; each has an entry of its own.
 *
 * - `@onelora/onelora/dsl`: the tensor language. Layers are data with pure functions (`linear`, `serial`, `residual`),
 *   parameters are flat trees by path (`partition`, `combine`), random numbers are keyed by name, optimisers are pairs of
 *   pure functions, `compile` turns a training step into a program of kernel calls, and safetensors are read in ranges.
 * - `@onelora/onelora/adapters`: the methods, one file each. An adapter changes what a linear layer computes,
 *   y = gain * ((W + ΔW) x) + bias, and is placed by path: `at(everyLinear, oneLora())`.
 * - `@onelora/onelora/models`: published architectures, declared; parameter paths are the checkpoints' own names.
 * - `@onelora/onelora/tasks`: data, loss, metrics and the trainer.
 *
 * @example A model, a method, a training step
 * ```ts
 * import { pipe } from "fp-ts/function";
 * import * as tf from "@tensorflow/tfjs-core";
 * import { assert } from "@std/assert";
 * import {
 *   adamw, apply, at, compile, crossEntropy, everyLinear, head, init, isTrainable, key, loadParams, oneLora, openModel,
 *   partition, trainStep, useBackend,
 * } from "@onelora/onelora";
 *
 * await useBackend("wasm");
 * const vit = await openModel("vit-micro");
 * const { params: pretrained } = await loadParams(vit, key(0));
 * const model = pipe(vit.layer, at(everyLinear, oneLora()), head);
 * const params = init(model, key(0), pretrained);
 * const { kept: trained, rest: frozen } = partition<tf.Tensor>(isTrainable(model))(params);
 *
 * const optimiser = adamw({ weightDecay: 0.01 });
 * const step = compile(trainStep(
 *   (params, { pixels, labels }) => ({ loss: crossEntropy(apply(model, params)(pixels), labels) as tf.Scalar }),
 *   optimiser,
 * ));
 * const batch = {
 *   pixels: tf.randomNormal([4, 1, 28, 28], 0, 1, "float32", 1),
 *   labels: tf.tensor1d([0, 1, 2, 3], "int32"),
 *   rate: tf.scalar(0.01),
 * };
 * const [next, first] = step({ frozen, trained, optimiser: optimiser.init(trained) }, batch);
 * const [, second] = step(next, batch);
 * assert((await second.loss.data())[0] < (await first.loss.data())[0]);
 * ```
 *
 * @module
 */
export { type Adapter, at, everyLinear } from "./adapters/adapter.ts";
export { bitfit } from "./adapters/bitfit.ts";
export { parameterCounts } from "./adapters/count.ts";
export { difffit } from "./adapters/difffit.ts";
export { dora } from "./adapters/dora.ts";
export { loadAdapter, saveAdapter } from "./adapters/exchange/mod.ts";
export { ia3 } from "./adapters/ia3.ts";
export { lora } from "./adapters/lora.ts";
export { mergeParams } from "./adapters/merge.ts";
export { mora1, mora6 } from "./adapters/mora.ts";
export { oneLora } from "./adapters/one_lora.ts";
export { all, head, labels, norms } from "./adapters/parts.ts";
export { scale } from "./adapters/scale.ts";
export { adapt } from "./adapters/spec.ts";
export { vera } from "./adapters/vera.ts";
export {
  adamw,
  apply,
  compile,
  crossEntropy,
  init,
  isTrainable,
  key,
  type Layer,
  OneloraError,
  type Params,
  partition,
  useBackend,
} from "./dsl/mod.ts";
export { loadParams, type Model, openModel } from "./models/mod.ts";
export { fineTune, type FineTuned, load, trainStep } from "./tasks/mod.ts";
