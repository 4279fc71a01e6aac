/** Hand-made safetensors files for tests. */
import { type HostTensor, openSafetensors } from "../../dsl/safetensors/mod.ts";

/** One header entry as JSON. */
export function entry(dtype: string, shape: readonly unknown[], begin: number, end: number): string {
  return JSON.stringify({ dtype, shape, data_offsets: [begin, end] });
}

/** A file of this header and data; `length` overrides the true header length. */
export function craft(
  header: string | Uint8Array<ArrayBuffer>,
  data: Uint8Array<ArrayBuffer> = new Uint8Array(),
  length?: bigint,
): Uint8Array<ArrayBuffer> {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

/** Every tensor of a checkpoint, by name. */
export async function readAll(path: string): Promise<Record<string, HostTensor>> {
  await using checkpoint = await openSafetensors(path);
  const tensors: [string, HostTensor][] = [];
  for (const name of checkpoint.names) tensors.push([name, await checkpoint.read(name)]);
  return Object.fromEntries(tensors);
}

/** A tensor's data as bytes. */
export function bytesOf({ data }: HostTensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
