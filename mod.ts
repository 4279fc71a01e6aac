/**
 * Very-low-rank fine-tuning on TensorFlow.js: 1LoRA (y = W0 x + b * sum(x)) beside LoRA, DoRA, VeRA, MoRA, BitFit, ...
 *
 * {@linkcode fineTune} does it in one call: `await fineTune({ model: "vit-micro", data, adapter: "1lora", steps: 20 })`.
 * The names here are short cuts; parameters and errors of each are documented in its entry: `/dsl` (layers, optimisers,
 * compiler), `/adapters`, `/models` and `/tasks` (data, metrics, trainer, and a training step from end to end).
 *
 * @example An adapter placed by hand
 * ```ts
 * import { pipe } from "fp-ts/function";
 * import { at, everyLinear, methods, openModel, parameterCounts } from "@onelora/onelora";
 * import { assertEquals } from "@std/assert";
 *
 * const vit = await openModel("vit-micro");
 * const model = pipe(vit.layer, at(everyLinear, methods.oneLora()), methods.head);
 * assertEquals(parameterCounts(model, vit.headPath).adapter, 4608);
 * ```
 *
 * @module
 */
import * as adapters from "./adapters/mod.ts";
import * as dsl from "./dsl/mod.ts";
import * as models from "./models/mod.ts";
import * as tasks from "./tasks/mod.ts";

/** Fine-tunes a model on a data set or your own examples; the result has `predict`, `evaluate`, `save` and `merge`. (`/tasks`) */
export const fineTune: typeof tasks.fineTune = tasks.fineTune;
/** Opens what `fineTune` saved, ready to predict: `await load(folder)`. (`/tasks`) */
export const load: typeof tasks.load = tasks.load;
/** Opens a model by preset, folder or `hf:ORG/NAME`; its `layer` has no parameters yet. (`/models`) */
export const openModel: typeof models.openModel = models.openModel;
/** Reads the parameters of an open model: `await loadParams(model, key(seed))`. (`/models`) */
export const loadParams: typeof models.loadParams = models.loadParams;
/** Places a method on linear layers, `at(everyLinear, methods.lora())`: model -> model. (`/adapters`) */
export const at: typeof adapters.at = adapters.at;
/** Every linear layer but heads and embedders, for `at`. (`/adapters`) */
export const everyLinear: typeof adapters.everyLinear = adapters.everyLinear;
/** Applies methods by name, `adapt("1lora+norms")`: model -> model. (`/adapters`) */
export const adapt: typeof adapters.adapt = adapters.adapt;
/** Counts what a model trains, its head separately. (`/adapters`) */
export const parameterCounts: typeof adapters.parameterCounts = adapters.parameterCounts;
/** Folds a model's adapters into its weights: `merge(model, params).params`. (`/adapters`, as `mergeParams`) */
export const merge: typeof adapters.mergeParams = adapters.mergeParams;
/** Writes an adapter, in PEFT's format where it has one. (`/adapters`, as `saveAdapter`) */
export const save: typeof adapters.saveAdapter = adapters.saveAdapter;
/** Reads an adapter's folder and places it on a model. (`/adapters`) */
export const loadAdapter: typeof adapters.loadAdapter = adapters.loadAdapter;
/** Chooses the engine: `tensorflow`, `webgpu`, `wasm`, `cpu`, or `auto`. (`/dsl`) */
export const useBackend: typeof dsl.useBackend = dsl.useBackend;
/** The error for bad input: what was attempted, found and allowed. (`/dsl`) */
export const OneloraError: typeof dsl.OneloraError = dsl.OneloraError;
/** An error for bad input, as a type. (`/dsl`) */
export type OneloraError = dsl.OneloraError;

/**
 * The methods. On layers, `at(everyLinear, methods.oneLora())`:
 *
 * - `oneLora`: y = W0 x + b * sum(x)
 * - `lora`: y = W0 x + s B A x
 * - `dora`: y = m / ‖W0 + s B A‖ * (W0 + s B A) x
 * - `vera`: y = W0 x + b * (B (d * (A x))), A and B fixed and shared
 * - `miss`: y = W0 x + D^T s(x), s(x) the sums of r shards; `mora1`, `mora6`: y = W0 x + f(M g(x)), M square
 * - `bitfit`: y = W0 x + b0 + β; `scale`: y = γ (W0 x + b0); `ia3`: y = l * (W0 x + b0), or W0 (l * x) + b0
 *
 * On the whole model, `pipe(model, methods.norms)`: `difffit()`, `norms`, `head`, `labels`, `all`.
 */
export * as methods from "./adapters/functions.ts";
