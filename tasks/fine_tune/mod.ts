/**
 * The front door: fine-tuning in one call.
 *
 * @module
 */
export { fineTune, type FineTuned } from "./fine_tune.ts";
export type {
  DataOf,
  ExampleOf,
  FineTuneOptions,
  FineTuneSurroundings,
  InputOf,
  OutputOf,
  OwnSettings,
} from "./options.ts";
export { readRunConfig, type SavedRun } from "./config.ts";
export type { Served, ServeOptions, Used } from "./served.ts";
export { load, type LoadOptions, type Predictor, type Tuned, type TunedFacts } from "./tuned.ts";
