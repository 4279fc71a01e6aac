/**
 * Between host tensors and the engine's tensors: the only file of this room that knows the engine.
 *
 * @module
 */
import * as tf from "@tensorflow/tfjs-core";
import { engineInUse } from "../engine/in_use.ts";
import { OneloraError } from "../error.ts";
import { type HostData, type HostTensor, toFloat32 } from "./dtype.ts";
import { show } from "../files/json.ts";
import type { TensorSource } from "./writer.ts";

/** Integers as int32, or an error for the first that does not fit between `least` and `most`. */
function toInt32(data: HostData, least: number, most: number): Int32Array {
  const values = new Int32Array(data.length);
  for (let i = 0; i < values.length; i++) {
    const value = data[i];
    if (value < least || value > most) {
      const allowed = `whole numbers from ${least} to ${most}`;
      throw new OneloraError({ attempted: "making a tensor", found: `the value ${value}`, allowed });
    }
    values[i] = Number(value);
  }
  return values;
}

/**
 * A host tensor in the engine: floats become float32, integers int32, BOOL bool.
 * The engine may keep the host array itself, so do not change it afterwards.
 *
 * @param host Tensor in plain memory
 * @throws {OneloraError} for an integer outside int32 and a BOOL other than 0 or 1
 */
export function toTensor(host: HostTensor): tf.Tensor {
  const { dtype, data } = host;
  const shape = [...host.shape];
  if (dtype === "BOOL") return tf.tensor(Uint8Array.from(toInt32(data, 0, 1)), shape, "bool");
  if (dtype === "I32") return tf.tensor(data as Int32Array, shape, "int32");
  if (dtype.startsWith("I") || dtype.startsWith("U")) {
    return tf.tensor(toInt32(data, -(2 ** 31), 2 ** 31 - 1), shape, "int32");
  }
  return tf.tensor(toFloat32(host), shape, "float32");
}

/** What a tensor's numbers are written as. */
function typeOf({ dtype }: tf.Tensor): "F32" | "I32" | "BOOL" {
  if (dtype === "float32") return "F32";
  if (dtype === "int32") return "I32";
  if (dtype === "bool") return "BOOL";
  throw new OneloraError({
    attempted: "reading a tensor",
    found: `dtype ${show(dtype)}`,
    allowed: "float32, int32, bool",
  });
}

/**
 * An engine tensor in plain memory: float32 becomes F32, int32 I32, bool BOOL. The tensor stays alive, and the array is the
 * caller's own.
 *
 * @param tensor Engine tensor
 * @throws {OneloraError} for complex and string tensors
 */
export async function fromTensor(tensor: tf.Tensor): Promise<HostTensor> {
  const [dtype, shape] = [typeOf(tensor), [...tensor.shape]];
  // Elsewhere what an engine gives may be what it has.
  const holder = tf.engine().state.tensorInfo.get(tensor.dataId)?.backend;
  const isOwn = engineInUse().copies === true && holder === tf.backend();
  if (dtype === "F32") {
    const data = await tensor.data<"float32">();
    return { dtype, shape, data: isOwn ? data as Float32Array<ArrayBuffer> : new Float32Array(data) };
  }
  if (dtype === "I32") return { dtype, shape, data: new Int32Array(await tensor.data<"int32">()) };
  return { dtype, shape, data: new Uint8Array(await tensor.data<"bool">()) };
}

/**
 * The same for a file, whose numbers are read when it is their turn to be written.
 *
 * @param tensor Engine tensor, which must stay alive until it is written
 * @throws {OneloraError} for complex and string tensors
 */
export function sourceOf(tensor: tf.Tensor): TensorSource {
  const data = async () => (await fromTensor(tensor)).data;
  return { dtype: typeOf(tensor), shape: tensor.shape, data, passing: true };
}
