/**
 * Adapters on disk, exchanged with Hugging Face PEFT.
 *
 * @module
 */
export type { Fields } from "./fields.ts";
export type { Json } from "../../dsl/files/json.ts";
export { type AdapterConfig, type AdapterSpec, readAdapterConfig } from "./config.ts";
export type { AdapterLayout, ModuleNames } from "./format.ts";
export {
  type AdapterHeader,
  loadAdapter,
  type LoadedAdapter,
  readAdapterHeader,
  readAdapterParams,
  untiesWeights,
} from "./load.ts";
export type { AdapterTensors, ReadAdapterOptions } from "./tensors.ts";
export { saveAdapter, type SaveAdapterOptions } from "./save.ts";
