/**
 * Tensors that a checkpoint holds under several names.
 *
 * @module
 */
import { OneloraError } from "../error.ts";
import { type HostTensor, toFloat32 } from "./dtype.ts";
import type { Checkpoint } from "./reader.ts";

function areEqual(a: Float32Array, b: Float32Array): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}

/**
 * Whether two tensors of floats hold the same values.
 *
 * @param checkpoint The checkpoint
 * @param names Their names
 */
export async function agree(
  checkpoint: Pick<Checkpoint, "read">,
  [first, second]: readonly [string, string],
): Promise<boolean> {
  return areEqual(toFloat32(await checkpoint.read(first)), toFloat32(await checkpoint.read(second)));
}

/**
 * Reads a tensor of floats that a checkpoint may hold under several names; the tensors must be equal.
 *
 * @param checkpoint The checkpoint
 * @param names The tensor's names, at least one
 * @param attempted What this is for, e.g. `loading MODEL`
 * @throws OneloraError naming the first tensor that differs
 */
export async function readAgreeing(
  checkpoint: Pick<Checkpoint, "read">,
  names: readonly string[],
  attempted: string,
): Promise<HostTensor> {
  const [name, ...others] = names;
  const host = await checkpoint.read(name);
  if (others.length === 0) return host;
  const values = toFloat32(host);
  for (const other of others) {
    const again = toFloat32(await checkpoint.read(other));
    if (!areEqual(values, again)) {
      throw new OneloraError({
        attempted: `${attempted}, tensor "${other}"`,
        found: `other values than those of "${name}"`,
        allowed: "equal values under a tensor's several names",
      });
    }
  }
  return host;
}
