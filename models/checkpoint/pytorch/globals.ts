/**
 * The only names of Python's that a pickle may use, as pure functions: none of Python's code is run or imitated beyond
 * these.
 *
 * @module
 */
import { checkShape } from "../../../dsl/safetensors/header.ts";
import type { DType } from "../../../dsl/safetensors/mod.ts";
import { type Global, isCount, isKind, type Made, type Storage, type StoredTensor, type Value } from "./value.ts";

/** Element types by the names of torch's storages. */
const STORAGES: Readonly<Record<string, DType>> = {
  Double: "F64",
  Float: "F32",
  Half: "F16",
  BFloat16: "BF16",
  Long: "I64",
  Int: "I32",
  Short: "I16",
  Char: "I8",
  Byte: "U8",
  Bool: "BOOL",
};

/** Most axes of a tensor. */
const MOST_AXES = 16;

/** The storage type that a global names, if it is one: `torch.FloatStorage`, `torch.cuda.FloatStorage`. */
function storageType(name: string): DType | undefined {
  const type = /^torch\.(?:cuda\.)?(\w+)Storage$/.exec(name)?.[1];
  return type !== undefined && Object.hasOwn(STORAGES, type) ? STORAGES[type] : undefined;
}

/** The highest place of a storage that a view reaches, or undefined past 2^53 - 1. */
function reach({ offset, shape, stride }: Pick<StoredTensor, "offset" | "shape" | "stride">): number | undefined {
  const last = shape.reduce((sum, length, axis) => sum + (length - 1) * stride[axis], offset);
  return Number.isSafeInteger(last) ? last : undefined;
}

/** `torch._utils._rebuild_tensor(storage, offset, shape, stride)`; what may follow says nothing of the numbers. */
function tensor([storage, offset, shape, stride]: readonly Value[]): Made {
  // Lists may be long and used again and again, so their length is looked at first.
  const areCounts = (value: Value | undefined): value is number[] =>
    Array.isArray(value) && value.length <= MOST_AXES && value.every(isCount);
  if (!isKind(storage, "storage") || !isCount(offset) || !areCounts(shape) || !areCounts(stride)) {
    return { wrong: `a tensor without storage, offset, shape and stride of at most ${MOST_AXES} axes` };
  }
  if (shape.length !== stride.length) {
    return { wrong: `a tensor of ${shape.length} axes with ${stride.length} strides` };
  }
  const { bytes } = checkShape("reading a tensor's shape", storage.dtype, shape);
  const made: StoredTensor = { kind: "tensor", storage, offset, shape: [...shape], stride: [...stride] };
  if (bytes === 0) return { value: made };
  const last = reach(made);
  const elements = shape.reduce((product, length) => product * length, 1);
  // More elements than numbers come of stride 0, by which a file of a few bytes could fill any memory.
  if (last === undefined || last >= storage.count || elements > storage.count) {
    const view = `shape [${shape}], stride [${stride}], offset ${offset}`;
    return { wrong: `a tensor of ${view} in a storage of ${storage.count} elements` };
  }
  return { value: made };
}

/** What calling each name makes. */
const CALLS: Readonly<Record<string, (args: readonly Value[]) => Made>> = {
  // Of pairs only in Python 2's files.
  "collections.OrderedDict": (args) =>
    args.length === 0 ? { value: new Map() } : { wrong: "an OrderedDict that is not made empty" },
  "torch._utils._rebuild_tensor": tensor,
  "torch._utils._rebuild_tensor_v2": tensor,
  "torch._utils._rebuild_parameter": ([value]) =>
    isKind(value, "tensor") ? { value } : { wrong: "a parameter that is no tensor" },
  "torch.Size": ([value]) => Array.isArray(value) ? { value } : { wrong: "a torch.Size that is no tuple" },
  // Training code keeps its settings beside the weights; they are left out.
  "torch.device": () => ({ value: null }),
  "argparse.Namespace": () => ({ value: new Map() }),
};

/** What pickles may name, in words. */
export const allowedGlobals: string = [...Object.keys(CALLS), "torch's storages and element types"].join(", ");

/**
 * What a name of Python's stands for here, or undefined if it is not allowed.
 *
 * @param name Module and name
 */
export function findGlobal(name: string): Global | undefined {
  if (Object.hasOwn(CALLS, name)) return { kind: "global", name, call: CALLS[name] };
  const isElementType = /^torch\.(?:float|bfloat|int|uint|bool)\d*$/.test(name);
  return isElementType || storageType(name) !== undefined ? { kind: "global", name } : undefined;
}

/**
 * The storage that a persistent id names: ("storage", type, key, device, count), in old files a view that must be None.
 *
 * @param id The persistent id
 */
export function findStorage(id: Value): Made {
  const [word, type, key, , count, view] = Array.isArray(id) ? id : [];
  if (word !== "storage" || !isKind(type, "global") || typeof key !== "string" || !isCount(count)) {
    return { wrong: "a persistent id that is no storage" };
  }
  const dtype = storageType(type.name);
  if (dtype === undefined) return { wrong: `a storage of type ${type.name}` };
  if ((view ?? null) !== null) return { wrong: "a storage that is a view of another" };
  const made: Storage = { kind: "storage", key, dtype, count };
  return { value: made };
}
