/**
 * The file of an adapter's tensors: opening it, and comparing what it holds of the model itself.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { isFileAt } from "../../dsl/files/store.ts";
import { type Checkpoint, openSafetensors, toFloat32 } from "../../dsl/safetensors/mod.ts";
import type { Params, Path } from "../../dsl/tree.ts";

/** Element types that become float32, and the largest relative error that rounding to them makes. */
export const FLOATS: Readonly<Record<string, number>> = { F64: 2 ** -24, F32: 2 ** -24, F16: 2 ** -11, BF16: 2 ** -8 };
/** Smallest positive number of half precision: what is lost below it is no change. */
const TINY = 2 ** -24;

/** A file of tensors by name. */
export type AdapterTensors = Checkpoint;

/** How an adapter's folder is read. */
export interface ReadAdapterOptions {
  /**
   * Opens a file that is not safetensors: `adapter_model.bin`, a pickle of PyTorch's. `openCheckpoint` of `models` is such
   * a function; without it such a file is an error.
   */
  readonly open?: (path: string) => Promise<AdapterTensors>;
  /** The model's own parameters, with which those in the file are compared; without them such a file is an error. */
  readonly base?: Params;
}

const SAFETENSORS = "adapter_model.safetensors";
const PICKLE = "adapter_model.bin";

/**
 * Opens an adapter's tensors, in either of the two files that PEFT writes.
 *
 * @param folder The adapter's folder
 * @param open See {@linkcode ReadAdapterOptions}
 */
export async function openTensors(folder: string, open: ReadAdapterOptions["open"]): Promise<AdapterTensors> {
  const [safe, pickle] = [`${folder}/${SAFETENSORS}`, `${folder}/${PICKLE}`];
  if (await isFileAt(safe) || !await isFileAt(pickle)) return await openSafetensors(safe);
  if (open !== undefined) return await open(pickle);
  throw new OneloraError({
    attempted: `loading ${folder}`,
    found: `${PICKLE} alone`,
    allowed: `${SAFETENSORS}, or with { open: openCheckpoint } of models this one too`,
  });
}

/**
 * Compares a tensor of the model itself, as PEFT writes it beside adapters of embeddings and heads, with the model's: equal
 * to rounding, or the adapter is another model's.
 */
export async function compareBase(
  checkpoint: AdapterTensors,
  key: string,
  path: Path,
  base: Params | undefined,
  complain: (key: string, found: string, allowed: string) => OneloraError,
): Promise<void> {
  const own = base?.[path];
  if (own === undefined) {
    throw complain(key, "a weight of the model itself", "the model's own parameters to compare it with");
  }
  const { dtype, shape } = checkpoint.info(key);
  if (`${shape}` !== `${own.shape}`) {
    throw complain(
      key,
      `shape [${shape}]`,
      `the model's own, [${own.shape}]: adapters with resized embeddings are not read`,
    );
  }
  const values = toFloat32(await checkpoint.read(key));
  const others = await own.data();
  const error = FLOATS[dtype] ?? 0;
  const same = values.every((value, i) => Math.abs(value - others[i]) <= error * Math.abs(others[i]) + TINY * error);
  if (!same) {
    throw complain(key, "other values than the model's own", "an adapter of this model, or one that was merged");
  }
}
