/**
 * A run's state on disk: one safetensors file, replaced atomically, so that a run killed at any moment can go on from
 * its last checkpoint and end with the same bytes.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { firstLine, OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { isObject, readNumbers, show, writeNumbers } from "../../dsl/files/json.ts";
import { builtin } from "../../dsl/host.ts";
import { release } from "../../dsl/release.ts";
import {
  type Checkpoint,
  fromTensor,
  type HostTensor,
  openSafetensors,
  sourceOf,
  toTensor,
  writeSafetensors,
} from "../../dsl/safetensors/mod.ts";
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

/** What decides a run's result, by name: a checkpoint is of the run that has the same. */
export type Identity = Readonly<Record<string, unknown>>;

/** A value as one text, whatever the order of its names. */
function canonical(value: unknown): string {
  return writeNumbers(value, {
    each: (part) => isObject(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => a < b ? -1 : 1)) : part,
  });
}

/**
 * SHA-256 of everything in a checkpoint, so that one that was edited or damaged is noticed. Tensors are read one after the other,
 * and are arrays for no longer than that.
 */
async function sumOf(
  identity: string,
  progress: string,
  names: readonly string[],
  read: (name: string) => Promise<HostTensor>,
): Promise<string> {
  const sum = builtin("node:crypto").createHash("sha256");
  sum.update(`${identity}\n${progress}\n`);
  for (const name of names.toSorted()) {
    const { dtype, shape, data } = await read(name);
    sum.update(`${name} ${dtype} ${shape}\n`);
    sum.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    release(data);
  }
  return sum.digest("hex");
}

/**
 * Writes a checkpoint: complete or not at all.
 *
 * @param path File
 * @param moving Tensors
 * @param progress Where the run stands
 * @param identity Whose it is
 */
export async function saveCheckpoint(
  path: string,
  moving: Moving,
  progress: Progress,
  identity: Identity = {},
): Promise<void> {
  const tensors = combine(prefixed(PREFIX.trained, moving.trained), prefixed(PREFIX.optimiser, moving.optimiser));
  const [whose, stands] = [canonical(identity), writeNumbers(progress)];
  const sum = await sumOf(whose, stands, Object.keys(tensors), (name) => fromTensor(tensors[name]));
  const entries = Object.entries(tensors).map(([name, tensor]) => [name, sourceOf(tensor)] as const);
  await writeSafetensors(path, entries, { metadata: { progress: stands, identity: whose, sum } });
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The record that {@linkcode saveCheckpoint} wrote, or what is wrong with it. */
function parseProgress(text: string): Progress | string {
  try {
    const progress = readNumbers(text) as Progress;
    const { step, position, seconds, best, since = 0, record } = progress;
    const wrong = Object.entries({
      step: isCount(step),
      epoch: isCount(position.epoch),
      offset: isCount(position.offset),
      seconds: Number.isFinite(seconds) && seconds >= 0,
      since: isCount(since),
      best: best === undefined || (Number.isFinite(best.value) && isCount(best.step) && best.step <= step),
      record: record === undefined || record.step === step,
    }).find(([, isRight]) => !isRight);
    return wrong === undefined ? progress : `an impossible ${wrong[0]} in its progress record`;
  } catch {
    return "no progress record";
  }
}

/** What differs between whose a checkpoint is and whose it must be, in words; nothing if nothing does. */
function differences(text: string, wanted: Identity): readonly string[] {
  const found = JSON.parse(text);
  const now = JSON.parse(canonical(wanted));
  return [...new Set([...Object.keys(found), ...Object.keys(now)])].sort()
    .filter((name) => canonical(found[name]) !== canonical(now[name]))
    .map((name) => `${name} ${show(found[name])}, not ${show(now[name])}`);
}

/** Tensors from a checkpoint, checked against its sum. */
async function readTensors(
  path: string,
  file: Checkpoint,
  names: readonly string[],
  refuse: (found: string, allowed: string) => OneloraError,
): Promise<Readonly<Record<Path, Tensor>>> {
  const { identity = "{}", progress = "", sum } = file.metadata;
  if (sum !== await sumOf(identity, progress, names, (name) => file.read(name))) {
    throw refuse(
      sum === undefined ? "no checksum" : "other content than its checksum is of",
      `${path} as it was written`,
    );
  }
  const read: Record<Path, Tensor> = {};
  try {
    for (const name of names) read[name] = toTensor(await file.read(name));
    return read;
  } catch (error) {
    dispose(read);
    throw error;
  }
}

/**
 * Reads a checkpoint back.
 *
 * @param path File
 * @param like Tensors of the same run at its start: the file must hold exactly these names and shapes
 * @param identity Whose it must be
 * @throws OneloraError, by what differs, if the file belongs to another run, was edited or is damaged
 */
export async function loadCheckpoint(
  path: string,
  like: Moving,
  identity: Identity = {},
): Promise<Moving & { readonly progress: Progress }> {
  await using file = await openSafetensors(path);
  const wanted = combine(prefixed(PREFIX.trained, like.trained), prefixed(PREFIX.optimiser, like.optimiser));
  const wrong = (found: string, allowed: string) =>
    new OneloraError({ attempted: `resuming from ${path}`, found, allowed });
  if (file.metadata.identity === undefined) {
    throw wrong("no word of whose it is", "a checkpoint written by this version");
  }
  const different = await guarded(
    `reading ${path}`,
    "a checkpoint",
    () => differences(file.metadata.identity!, identity),
  );
  if (different.length > 0) {
    throw wrong(`another run's: ${different.slice(0, 5).join("; ")}`, "a checkpoint of this run");
  }
  const extra = file.names.find((name) => wanted[name] === undefined);
  if (extra !== undefined) throw wrong(`tensor "${extra}"`, "the trained parameters and optimiser state of this run");
  const progress = parseProgress(file.metadata.progress ?? "");
  if (typeof progress === "string") throw wrong(progress, "a checkpoint written by this trainer");
  for (const [name, { shape }] of Object.entries(wanted)) {
    if (!file.names.includes(name)) throw wrong(`no tensor "${name}"`, "a checkpoint of this run");
    const found = file.info(name).shape;
    if (`${found}` !== `${shape}`) throw wrong(`"${name}" of shape [${found}]`, `shape [${shape}]`);
  }
  const read = await readTensors(path, file, Object.keys(wanted), wrong);
  const part = (prefix: string) =>
    Object.fromEntries(
      Object.entries(read).filter(([name]) => name.startsWith(prefix))
        .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
    );
  return { trained: part(PREFIX.trained), optimiser: part(PREFIX.optimiser), progress };
}

/**
 * Whether a checkpoint is there to go on from.
 *
 * @param path File
 * @throws OneloraError for anything but a file or nothing, and for what cannot be looked at
 */
export async function hasCheckpoint(path: string): Promise<boolean> {
  const refuse = (found: string, cause?: unknown) =>
    new OneloraError({ attempted: `resuming from ${path}`, found, allowed: "a checkpoint, or none" }, { cause });
  const found = await Deno.lstat(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw refuse(firstLine(error), error);
  });
  if (found === undefined || found.isFile) return found !== undefined;
  throw refuse(found.isSymlink ? "a link" : found.isDirectory ? "a folder" : "a device or pipe");
}

/** File of the last checkpoint inside a run's folder. */
export const LAST = "checkpoint/last.safetensors";
/** File of the best checkpoint inside a run's folder. */
export const BEST = "checkpoint/best.safetensors";
