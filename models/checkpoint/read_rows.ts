/**
 * Tensors of the engine from a checkpoint's, one at a time, each in the form that it is kept in.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { engineInUse } from "../../dsl/engine/mod.ts";
import type { StoredForm } from "../../dsl/engine/stored.ts";
import { halfFormOf, held, heldQuantised } from "../../dsl/hold.ts";
import type { Quantisation } from "../../dsl/quantise.ts";
import { release } from "../../dsl/release.ts";
import { hostArray, type HostTensor, toFloat32 } from "../../dsl/safetensors/dtype.ts";
import { readAgreeing, toTensor } from "../../dsl/safetensors/mod.ts";
import { sizeOf } from "../../dsl/tree.ts";
import { type Rows, shapeOfRows } from "../fusion.ts";
import type { Model } from "../model.ts";
import type { WeightsCheckpoint } from "./checkpoint.ts";
import type { Keys } from "./sources.ts";

/** Rows of tensors in plain memory, one after the other. */
function gatherHosts(rows: readonly Rows[], hosts: readonly HostTensor[]): HostTensor {
  const isAlike = hosts.every(({ dtype }) => dtype === hosts[0].dtype);
  const pieces = hosts.map((host, i): HostTensor => {
    const shape = shapeOfRows(host.shape, rows[i]);
    const data = isAlike ? host.data : toFloat32(host);
    const size = sizeOf(shape);
    const [index] = rows[i].share ?? [0];
    return { dtype: isAlike ? host.dtype : "F32", shape, data: data.subarray(index * size, (index + 1) * size) };
  });
  if (pieces.length === 1) return pieces[0];
  const shape = [pieces.reduce((sum, { shape: [count] }) => sum + count, 0), ...pieces[0].shape.slice(1)];
  const bytes = new Uint8Array(pieces.reduce((sum, { data }) => sum + data.byteLength, 0));
  let at = 0;
  for (const { data } of pieces) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return { dtype: pieces[0].dtype, shape, data: hostArray(pieces[0].dtype, bytes.buffer) };
}

/** Gives back what was read of a file where the engine has a copy: else it stays until some 64 MB of such garbage are looked for. */
function giveBack(...read: readonly ArrayBufferView[]): void {
  if (engineInUse().copies === true) release(...read);
}

/**
 * Reads rows of a checkpoint's tensors as one tensor.
 *
 * @param model The model
 * @param checkpoint Its checkpoint
 * @param keys Keys of the tensors by path
 * @param rows Which rows of which tensors
 * @param form What it is to be kept as, where that is asked for
 * @param stays Whether what the file has in a form stays in it
 */
export async function readRows(
  model: Model,
  checkpoint: WeightsCheckpoint,
  keys: Keys,
  rows: readonly Rows[],
  form: "bf16" | Quantisation | undefined,
  stays: (form: StoredForm) => boolean,
): Promise<Tensor> {
  const [{ path: whole, share }] = rows;
  const [key] = keys.get(whole)!;
  const blocks = rows.length === 1 && share === undefined ? checkpoint.formOf?.(key) : undefined;
  if (blocks !== undefined && stays(blocks)) {
    const read = await checkpoint.readBlocks!(key);
    const tensor = heldQuantised(read);
    giveBack(read.bytes);
    return tensor;
  }
  const hosts: HostTensor[] = [];
  for (const { path } of rows) hosts.push(await readAgreeing(checkpoint, keys.get(path)!, `loading ${model.name}`));
  const host = gatherHosts(rows, hosts);
  const halves = halfFormOf(host.dtype);
  const kept = form ?? (halves !== undefined && stays(halves) ? halves : undefined);
  const given: HostTensor = kept === undefined ? { dtype: "F32", shape: host.shape, data: toFloat32(host) } : host;
  const tensor = kept === undefined ? toTensor(given) : held(host, kept);
  if (kept === undefined) engineInUse().settle?.(tensor);
  giveBack(...[...hosts, host, given].map(({ data }) => data));
  // An engine that copies some of it loses only what it was not given itself.
  const isGiven = kept === undefined ? given.data === host.data : kept === halves;
  if (!isGiven && engineInUse().settle !== undefined) release(...hosts.map(({ data }) => data), host.data);
  return tensor;
}
