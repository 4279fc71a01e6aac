/**
 * A run's state on disk: one safetensors file, replaced atomically, so that a run killed at any moment can go on from
 * its last checkpoint and end with the same bytes.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";
import { fromTensor, openSafetensors, toTensor, writeSafetensors } from "../../dsl/safetensors/mod.ts";
import { combine, type Params, type Path } from "../../dsl/tree.ts";
import type { Progress } from "./progress.ts";

/** What training moves. */
export interface Moving {
  /** Trained parameters. */
  readonly trained: Params;
  /** The optimiser's state. */
  readonly optimiser: Params;
}

const PREFIX = { trained: "trained/", optimiser: "optimiser/" } as const;

function prefixed(prefix: string, tensors: Params): Params {
  return Object.fromEntries(Object.entries(tensors).map(([path, tensor]) => [`${prefix}${path}`, tensor]));
}

/**
 * Writes a checkpoint: complete or not at all.
 *
 * @param path File
 * @param moving Tensors
 * @param progress The rest
 */
export async function saveCheckpoint(path: string, moving: Moving, progress: Progress): Promise<void> {
  const tensors = combine(prefixed(PREFIX.trained, moving.trained), prefixed(PREFIX.optimiser, moving.optimiser));
  const entries = await Promise.all(
    Object.entries(tensors).map(async ([name, tensor]) => [name, await fromTensor(tensor)] as const),
  );
  await writeSafetensors(path, entries, { metadata: { progress: JSON.stringify(progress) } });
}

/** The record that {@linkcode saveCheckpoint} wrote, or undefined for anything else. */
function parseProgress(text: string): Progress | undefined {
  try {
    const { step, position, seconds } = JSON.parse(text);
    const numbers = [step, position.epoch, position.offset, seconds];
    return numbers.every((value) => typeof value === "number") ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Reads a checkpoint back.
 *
 * @param path File
 * @param like Tensors of the same run at its start: the file must hold exactly these names and shapes
 * @throws OneloraError if the file belongs to another configuration
 */
export async function loadCheckpoint(path: string, like: Moving): Promise<Moving & { readonly progress: Progress }> {
  await using file = await openSafetensors(path);
  const wanted = combine(prefixed(PREFIX.trained, like.trained), prefixed(PREFIX.optimiser, like.optimiser));
  const wrong = (found: string, allowed: string) =>
    new OneloraError({ attempted: `resuming from ${path}`, found, allowed });
  const extra = file.names.find((name) => wanted[name] === undefined);
  if (extra !== undefined) throw wrong(`tensor "${extra}"`, "the trained parameters and optimiser state of this run");
  const progress = parseProgress(file.metadata.progress ?? "");
  if (progress === undefined) throw wrong("no progress record", "a checkpoint written by this trainer");
  for (const [name, { shape }] of Object.entries(wanted)) {
    if (!file.names.includes(name)) throw wrong(`no tensor "${name}"`, "a checkpoint of this run");
    const found = file.info(name).shape;
    if (`${found}` !== `${shape}`) throw wrong(`"${name}" of shape [${found}]`, `shape [${shape}]`);
  }
  const read: Record<Path, Tensor> = {};
  try {
    for (const name of Object.keys(wanted)) read[name] = toTensor(await file.read(name));
  } catch (error) {
    dispose(read);
    throw error;
  }
  const part = (prefix: string) =>
    Object.fromEntries(
      Object.entries(read).filter(([name]) => name.startsWith(prefix))
        .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
    );
  return { trained: part(PREFIX.trained), optimiser: part(PREFIX.optimiser), progress };
}
