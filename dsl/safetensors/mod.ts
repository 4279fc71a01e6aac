/**
 * The safetensors format: open, read tensor by tensor, write. Host tensors are plain arrays; `toTensor` and `fromTensor` lead to
 * the engine and back.
 *
 * @module
 */
export { agree, readAgreeing } from "./agree.ts";
export {
  type DType,
  dtypes,
  fromBfloat16,
  fromFloat16,
  type HostArrays,
  type HostData,
  type HostTensor,
  itemSize,
  toBfloat16,
  toFloat16,
  toFloat32,
} from "./dtype.ts";
export { type Checkpoint, openSafetensors, type TensorInfo } from "./reader.ts";
export { type NamedSource, type TensorSource, type WriteOptions, writeSafetensors } from "./writer.ts";
export { fromTensor, sourceOf, toTensor } from "./tensors.ts";
export { unwrapped } from "./wrappers.ts";
