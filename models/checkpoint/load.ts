/**
 * A model's parameters from its checkpoint, and back into a Hugging Face folder.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { OneloraError } from "../../dsl/error.ts";
import { engineInUse, type Precision } from "../../dsl/engine/mod.ts";
import type { EngineKind } from "../../dsl/engine/interface.ts";
import { halfFormOf, held, heldQuantised } from "../../dsl/hold.ts";
import type { Quantisation } from "../../dsl/quantise.ts";
import { collectGarbage } from "../../dsl/garbage.ts";
import { release } from "../../dsl/release.ts";
import { isHalfForm, type StoredForm } from "../../dsl/engine/stored.ts";
import { init, type Layer, type ParamSpec, specs, walk } from "../../dsl/layer.ts";
import { isGguf } from "../gguf/checkpoint.ts";
import { isLinear } from "../../dsl/linear.ts";
import { hostArray, type HostTensor, toFloat32 } from "../../dsl/safetensors/dtype.ts";
import type { Key } from "../../dsl/random.ts";
import { guarded } from "../../dsl/files/file.ts";
import { formatPythonJson } from "../../dsl/files/python_json.ts";
import { makeFolder, writeWhole } from "../../dsl/files/write.ts";
import {
  type Checkpoint,
  fromTensor,
  type NamedSource,
  readAgreeing,
  toBfloat16,
  toFloat16,
  toTensor,
  writeSafetensors,
} from "../../dsl/safetensors/mod.ts";
import { glob, join, type Params, type Path, sizeOf } from "../../dsl/tree.ts";
import { openWeights, type WeightsCheckpoint } from "./checkpoint.ts";
import { divisions, gatherRows, published, type Rows, shapeOfRows } from "../fusion.ts";
import { fetchModel } from "../hub/fetch.ts";
import { checkConstants, constantsIn, unusedOf } from "./beside.ts";
import { keyOf, keysOf, pathOf, substituteOf } from "./keys.ts";
import { FLOATS, mismatch } from "./mismatch.ts";
import type { Description } from "../family.ts";
import type { Model } from "../model.ts";
import type { Json } from "../config.ts";

/** What was found in a checkpoint. */
export interface Loaded {
  /** The complete parameters. */
  readonly params: Params;
  /** Paths that the checkpoint did not hold and that got their first value from the key (head and adapters only). */
  readonly initialised: readonly Path[];
  /** The entry that was taken of a file of PyTorch's that holds several, e.g. `ema`. */
  readonly part?: string;
  /** What of the checkpoint the model does not use although some would expect it, in words. */
  readonly unused?: string;
}

/** Whether a key is what bitsandbytes, GPTQ, AWQ, HQQ, compressed-tensors or fp8 keep beside quantised weights. */
function isOfQuantised(key: string): boolean {
  return /\.(SCB|weight_format|(weight\.)?(nested_)?(absmax|quant_map)|weight\.quant_state\..*|qweight|qzeros|q?scales?|g_idx|(weight|input|output|activation)_(scale|scale_inv|zero_point|packed|shape|g_idx|global_scale))$/
    .test(key);
}

/** Checkpoint keys by the path they fill, more than one where the file repeats a tensor. */
type Keys = ReadonlyMap<Path, readonly string[]>;

/** The keys of a checkpoint; unexpected ones are an error. */
function resolve(model: Model, checkpoint: Checkpoint): Keys {
  const paths = Object.keys(specs(model.layer));
  const expected = new Set(paths.flatMap((path) => divisions(model.keys, path)).flat().map(({ path }) => path));
  const found = new Map<Path, readonly string[]>();
  for (const key of checkpoint.names) {
    const path = pathOf(model.keys, key);
    if (path === undefined) continue;
    if (!expected.has(path)) {
      const found = isOfQuantised(key) ? "a tensor of quantised weights" : "an unexpected key";
      throw mismatch(model, key, found, `the keys of ${model.family}`);
    }
    found.set(path, [...found.get(path) ?? [], key]);
  }
  return found;
}

/** Where a checkpoint holds a parameter, if it does; a tensor of another shape is an error. */
function locate(
  model: Model,
  checkpoint: Checkpoint,
  keys: Keys,
  path: Path,
  shape: readonly number[],
): readonly Rows[] | undefined {
  const rows = divisions(model.keys, path).find((each) => each.every(({ path }) => keys.has(path)));
  for (const { path: held, share } of rows ?? []) {
    const whole = held === path;
    const wanted = whole ? shape : [shape[0] * (share?.[1] ?? 1) / rows!.length, ...shape.slice(1)];
    for (const key of keys.get(held)!) {
      const { dtype, shape: found } = checkpoint.info(key);
      // Of another shape, it is first of all that.
      if (`${found}` === `${wanted}` && !FLOATS.includes(dtype)) {
        throw mismatch(model, key, `${dtype}, as quantised checkpoints have`, `weights of ${FLOATS.join(", ")}`);
      }
      if (`${found}` !== `${wanted}`) throw mismatch(model, key, `shape [${found}]`, `shape [${wanted}]`);
    }
  }
  return rows;
}

/**
 * Where a model's weights are: beside its other files, or elsewhere.
 *
 * @param model The model
 */
export function placeOf({ weights, folder }: Pick<Model, "folder" | "weights">): string | undefined {
  return folder === undefined ? undefined : weights ?? folder;
}

/** Refuses to quantise what is quantised. */
function refuseTwice({ name }: Model, { names, formOf }: WeightsCheckpoint, { quantise }: Holding): void {
  const form = quantise && names.map((each) => formOf?.(each)).find((each) => each !== undefined);
  if (form === undefined) return;
  throw new OneloraError({
    attempted: `loading ${name} in ${quantise}`,
    found: `weights in ${form.toUpperCase()} already`,
    allowed: "the weights as they are, or a file of floats",
  }, { exitCode: 2 });
}

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

/** Reads rows of a checkpoint's tensors as one tensor. */
async function readRows(
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
  const isGiven = kept === undefined ? given.data === host.data : isHalfForm(kept);
  if (!isGiven && engineInUse().settle !== undefined) release(...hosts.map(({ data }) => data), host.data);
  return tensor;
}

/** What weights are kept as in the engine. */
export interface Holding {
  /** bf16: frozen weights that are matrices or tables are kept in it (default float32). */
  readonly precision?: Precision;
  /** Frozen weights of linear layers other than heads are kept in this (default: as all others). */
  readonly quantise?: Quantisation;
  /** For texts to be gone on with: frozen matrices that the file has in halves stay so where the engine reads them faster. */
  readonly decoding?: boolean;
}

/**
 * What each parameter is kept as.
 *
 * @param layer The layer, adapted or not
 * @param holding See {@linkcode Holding}
 */
export function formsOf(
  layer: Layer,
  { precision = "float32", quantise }: Holding,
): ReadonlyMap<Path, "bf16" | Quantisation> {
  const all = specs(layer);
  const kept = new Map<Path, "bf16" | Quantisation>();
  for (const [path, { shape, trainable }] of Object.entries(all)) {
    if (precision === "bf16" && shape.length > 1 && !trainable) kept.set(path, "bf16");
  }
  if (quantise === undefined) return kept;
  for (const [path, each] of walk(layer)) {
    const { shared, trainable } = each.params.weight ?? {};
    if (!isLinear(each) || each.role === "head" || trainable || shared !== undefined) continue;
    kept.set(join(path, "weight"), quantise);
  }
  return kept;
}

/**
 * What each parameter of a model will be kept as: as is asked for, or where nothing is, as its file has it if the engine keeps
 * that. Reads headers only.
 *
 * @param model The model
 * @param layer Its layer, adapted or not
 * @param holding See {@linkcode Holding}
 * @param engine The engine
 */
export async function heldForms(
  model: Model,
  layer: Layer,
  holding: Holding,
  { forms: known, staysAsRead }: Pick<EngineKind, "forms" | "staysAsRead"> = engineInUse(),
): Promise<ReadonlyMap<Path, StoredForm>> {
  const forms = new Map<Path, StoredForm>(formsOf(layer, holding));
  const place = model.repository === undefined ? placeOf(model) : undefined;
  if (place === undefined || known === undefined || staysAsRead === undefined) return forms;
  const all = specs(layer);
  const opened = await openWeights(place).catch((error) => {
    // What has no weights yet can be planned, too.
    if (error instanceof OneloraError && !isGguf(place)) return undefined;
    throw error;
  });
  if (opened === undefined) return forms;
  await using checkpoint = opened;
  for (const key of checkpoint.names) {
    const path = pathOf(model.keys, key);
    if (path === undefined || all[path] === undefined || !isFrozenMatrix(all[path])) continue;
    const blocks = checkpoint.formOf?.(key);
    const form = blocks ?? halfFormOf(checkpoint.info(key).dtype);
    if (form === undefined || blocks === undefined && forms.has(path)) continue;
    if (staysAsRead(form, sizeOf(all[path].shape), holding.decoding === true)) forms.set(path, form);
  }
  return forms;
}

/** Whether a parameter can stay as its file has it. */
function isFrozenMatrix({ trainable, shape }: ParamSpec): boolean {
  return trainable !== true && shape.length === 2;
}

/** Where a checkpoint holds what a layer needs; what it may lack is left out. */
function sourcesOf(
  model: Model,
  checkpoint: Checkpoint,
  layer: Layer,
  keys: Keys,
): readonly (readonly [Path, readonly Rows[]])[] {
  const within = (path?: Path) => path === undefined ? () => false : glob(`${path}.**`);
  const [isHead, isSized] = [within(model.headPath), within(model.classPart?.path)];
  return Object.entries(specs(layer)).flatMap(([path, { shape, adapter }]) => {
    if (adapter !== undefined || (model.freshClasses && isSized(path))) return [];
    const substitute = substituteOf(model.keys, path);
    const rows = locate(model, checkpoint, keys, path, shape) ??
      (substitute === undefined ? undefined : locate(model, checkpoint, keys, substitute, shape));
    if (rows !== undefined) return [[path, rows] as const];
    if (model.labels !== undefined && isHead(path)) return [];
    throw mismatch(model, keyOf(model.keys, path), "no such key", `shape [${shape}]`);
  });
}

/**
 * Whether a checkpoint holds a model's parameters, by their names and shapes.
 *
 * @param model The model
 * @param checkpoint The checkpoint
 */
export function fits(model: Model, checkpoint: Checkpoint): boolean {
  try {
    constantsIn(model, checkpoint);
    return sourcesOf(model, checkpoint, model.layer, resolve(model, checkpoint)).length > 0;
  } catch (error) {
    if (error instanceof OneloraError) return false;
    throw error;
  }
}

/**
 * Reads a model's parameters shard by shard, tensor by tensor (peak memory: the model plus one tensor).
 *
 * What is sized by classes other than the checkpoint's, or a head of classes that the checkpoint lacks, starts from the key;
 * anything else that is missing, unexpected or of another shape is an error naming it. Without a folder everything starts
 * from the key.
 *
 * @param model The model
 * @param key The run's key
 * @param layer The layer to fill, if adapters were placed on the model's own
 * @param holding See {@linkcode Holding}
 * @param known Parameters that are there already: they are not read, and stay the caller's
 */
export async function loadParams(
  model: Model,
  key: Key,
  layer: Layer = model.layer,
  holding: { readonly precision?: Precision; readonly quantise?: "int8" | "nf4"; readonly decoding?: boolean } = {},
  known: Params = {},
): Promise<Loaded> {
  const wanted = specs(layer);
  const given: Record<Path, Tensor> = {};
  let part: string | undefined;
  let unused: string | undefined;
  const place = placeOf(model);
  if (place !== undefined) {
    const { repository } = model;
    if (repository !== undefined) await fetchModel(repository.name, repository.options);
    await using checkpoint = await openWeights(place);
    refuseTwice(model, checkpoint, holding);
    part = checkpoint.part;
    unused = unusedOf(model, checkpoint);
    const keys = resolve(model, checkpoint);
    const sources = sourcesOf(model, checkpoint, layer, keys);
    await checkConstants(model, checkpoint);
    const forms = formsOf(layer, holding);
    const { staysAsRead, copies } = engineInUse();
    // What tokenizers and plans left behind would stay beside the weights, where these are nothing to V8.
    if (copies === true) collectGarbage();
    try {
      for (const [path, rows] of sources) {
        if (path in known) continue;
        const stays = (form: StoredForm): boolean =>
          isFrozenMatrix(wanted[path]) &&
          staysAsRead?.(form, sizeOf(wanted[path].shape), holding.decoding === true) === true;
        given[path] = await readRows(model, checkpoint, keys, rows, forms.get(path), stays);
      }
    } catch (error) {
      dispose(given);
      throw error;
    }
  }
  return {
    params: init(layer, key, { ...known, ...given }),
    initialised: Object.keys(wanted).filter((path) => given[path] === undefined && known[path] === undefined),
    part,
    unused,
  };
}

/** Element types that {@linkcode saveModel} writes; halves are rounded to the nearest. */
const ENCODERS = { F32: (values: Float32Array) => values, F16: toFloat16, BF16: toBfloat16 };

/** An element type that {@linkcode saveModel} writes. */
export type SavedType = "F32" | "F16" | "BF16";

/** Options of {@linkcode saveModel}. */
export interface SaveOptions {
  /** Element type in the file; by default that of the model's own file, tensor by tensor, F32 for a model without one. */
  readonly dtype?: SavedType;
}

/** What `config.json` calls them. */
const TORCH_TYPES: Readonly<Record<SavedType, string>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/** The element type of each parameter in a model's file; what is not there gets the type that most of it has. */
async function storedTypes(model: Pick<Model, "keys" | "folder" | "weights">): Promise<(path: Path) => SavedType> {
  const place = placeOf(model);
  if (place === undefined) return () => "F32";
  // A folder that has a configuration and no weights yet has no types either.
  const opened = await openWeights(place).catch((error) => {
    if (error instanceof OneloraError) return undefined;
    throw error;
  });
  if (opened === undefined) return () => "F32";
  await using checkpoint = opened;
  const types = new Map<Path, SavedType>();
  const bytes: Record<SavedType, number> = { F32: 0, F16: 0, BF16: 0 };
  for (const key of checkpoint.names) {
    const path = pathOf(model.keys, key);
    if (path === undefined) continue;
    const info = checkpoint.info(key);
    const isInBlocks = checkpoint.formOf?.(key) !== undefined;
    const type = isInBlocks ? "BF16" : info.dtype === "F16" || info.dtype === "BF16" ? info.dtype : "F32";
    types.set(path, type);
    bytes[type] += info.bytes;
  }
  const [most] = (Object.keys(bytes) as SavedType[]).sort((a, b) => bytes[b] - bytes[a]);
  return (path) => types.get(path) ?? most;
}

/** `config.json` with the element type of its weights, where it says one and it changes. */
function configFor({ config }: Description, dtype: SavedType | undefined): Json {
  if (dtype === undefined) return config;
  const names = ["dtype", "torch_dtype"].filter((name) => (config[name] ?? undefined) !== undefined);
  return { ...config, ...Object.fromEntries(names.map((name) => [name, TORCH_TYPES[dtype]])) };
}

/**
 * Writes a plain Hugging Face folder: `config.json` and the weights, each complete or absent.
 *
 * @param model The model (its configuration)
 * @param params Its parameters; adapters' own are left out
 * @param folder Made if it does not exist
 * @param options See {@linkcode SaveOptions}
 */
export async function saveModel(
  model: Description & Pick<Model, "folder" | "weights">,
  params: Params,
  folder: string,
  { dtype: given }: SaveOptions = {},
): Promise<void> {
  const stored = given === undefined ? await storedTypes(model) : () => given;
  const tensors = published(model.keys, Object.keys(specs(model.layer)));
  const entries = [...tensors].flatMap(([path, rows]): readonly NamedSource[] => {
    const shapes = rows.map((each) => shapeOfRows(params[each.path].shape, each));
    const shape = shapes.length === 1
      ? shapes[0]
      : [shapes.reduce((sum, [length]) => sum + length, 0), ...shapes[0].slice(1)];
    const dtype = stored(path);
    const data = async () => {
      const tensor = gatherRows(rows, (path) => params[path]);
      try {
        return ENCODERS[dtype]((await fromTensor(tensor)).data as Float32Array);
      } finally {
        tensor.dispose();
      }
    };
    return keysOf(model.keys, path).map((key) => [key, { dtype, shape, data }]);
  });
  await guarded(`writing ${folder}`, "a folder that can be written", async () => {
    await makeFolder(folder);
    await writeSafetensors(`${folder}/${model.weightsFile}`, entries, { metadata: { format: "pt" } });
    await writeWhole(`${folder}/config.json`, formatPythonJson(configFor(model, given), model.configText));
  });
}
