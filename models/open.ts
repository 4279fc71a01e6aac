/**
 * Models by name: presets, Hugging Face folders and repositories, and presets with weights of one's own.
 *
 * @module
 */
import { nearest, OneloraError } from "../dsl/error.ts";
import { show } from "../dsl/files/json.ts";
import { type JsonFile, readJsonFile } from "../dsl/files/python_json.ts";
import { isFileAt, isMissing } from "../dsl/files/store.ts";
import { specs } from "../dsl/layer.ts";
import { agree, unwrapped } from "../dsl/safetensors/mod.ts";
import { type Path, sizeOf } from "../dsl/tree.ts";
import { autoencoderFamily } from "./autoencoder/autoencoder_kl.ts";
import { clipFamily } from "./clip/clip.ts";
import { isWeights, openCheckpoint } from "./checkpoint/checkpoint.ts";
import { keyOf } from "./checkpoint/keys.ts";
import { refuseQuantised } from "./companions/config.ts";
import { openCompanions } from "./companions/open.ts";
import { withPipelineLabels } from "./companions/scheduler.ts";
import { depthAnythingFamily } from "./depth_anything/depth_anything.ts";
import { dinov2Family, dinov2WithRegistersFamily } from "./dinov2/classifier.ts";
import { ditFamily } from "./dit/dit.ts";
import type { Description, DescriptionOptions, Family } from "./family.ts";
import { fetchModel } from "./hub/fetch.ts";
import { isGguf } from "./gguf/checkpoint.ts";
import { unpackGguf } from "./gguf/unpack.ts";
import type { HubOptions } from "./hub/settings.ts";
import { fits } from "./checkpoint/sources.ts";
import { inceptionFamily } from "./inception/inception_v3.ts";
import { llamaFamily } from "./llama/llama.ts";
import { mistralFamily, qwen2Family, smollm3Family } from "./llama/siblings.ts";
import { type Model, modelOf } from "./model.ts";
import { shippedFolder } from "./checkpoint/shipped.ts";
import { timmFamily } from "./timm/timm.ts";
import { deitFamily } from "./vit/deit.ts";
import { vitFamily } from "./vit/vit.ts";

/**
 * Whether weights have a head of their own that differs from the table which the configuration has as the head: training
 * with PEFT and merging leave such files, and transformers 5 keeps the two apart.
 */
async function hasOwnHead(folder: string, { keys, tied }: Description): Promise<boolean> {
  if (tied === undefined) return false;
  try {
    await using checkpoint = await openCheckpoint(folder);
    const keyAt = (path: Path) => checkpoint.names.find((name) => unwrapped(name) === keyOf(keys, `${path}.weight`));
    const [head, table] = [keyAt(tied.head), keyAt(tied.table)];
    return head !== undefined && table !== undefined && !await agree(checkpoint, [head, table]);
  } catch (error) {
    // What is wrong with weights, or that there are none yet, is said when they are read.
    if (error instanceof OneloraError) return false;
    throw error;
  }
}

/** Every family this package knows. */
export const families: readonly Family[] = [
  vitFamily,
  deitFamily,
  dinov2Family,
  dinov2WithRegistersFamily,
  clipFamily,
  timmFamily,
  depthAnythingFamily,
  ditFamily,
  autoencoderFamily,
  llamaFamily,
  mistralFamily,
  qwen2Family,
  smollm3Family,
  inceptionFamily,
];

/** Options of {@linkcode openModel}. */
export interface OpenModelOptions extends DescriptionOptions {
  /** Architectures of one's own besides this package's. */
  readonly families?: readonly Family[];
  /** Where models of Hugging Face's hub come from and go. */
  readonly hub?: HubOptions;
}

/** All preset names. */
export const presetNames: readonly string[] = families.flatMap(({ presets }) => presets);

/** What names a model, in words. */
const NAMES =
  `a preset (${presetNames.join(", ")}), a Hugging Face folder with config.json and model.safetensors, a GGUF file, ` +
  "hf:ORG/NAME of Hugging Face's hub, or PRESET=FILE with weights of your own";

/** What may have been meant by a file of weights: the presets whose names and shapes it has, or timm's folder that it is of. */
async function presetsFor(file: string): Promise<string> {
  const found: string[] = [];
  try {
    await using checkpoint = await openCheckpoint(file);
    // DINOv2's original files have the same names, and a token of masked training.
    const bare = checkpoint.names.map(unwrapped);
    if (bare.includes("patch_embed.proj.weight") && !bare.includes("mask_token")) {
      return "its folder, with timm's config.json beside it";
    }
    for (const family of families) {
      for (const preset of family.presets) {
        // Whatever its classes are: training gives it others.
        const model = { ...modelOf(family.preset(preset, {}), { name: preset }), freshClasses: true };
        if (fits(model, checkpoint)) found.push(`${preset}=${file}`);
      }
    }
  } catch (error) {
    if (!(error instanceof OneloraError)) throw error;
  }
  return found.length === 0 ? `PRESET=${file}` : found.join(", ");
}

/** Where the model may be that is meant by a folder without a configuration, in words. */
async function partsIn(folder: string): Promise<string> {
  const isThere = (path: string) => isFileAt(`${folder}/${path}`);
  if (await isThere("transformer/config.json")) return ` (a pipeline's folder: its model is "${folder}/transformer")`;
  if (await isThere("open_clip_config.json")) return " (open_clip's folder: transformers' CLIP and timm's are read)";
  return await isThere("adapter_config.json") ? " (an adapter's folder: `adapter` takes it, on a model)" : "";
}

async function readConfig(folder: string): Promise<JsonFile> {
  try {
    return await readJsonFile(`${folder}/config.json`);
  } catch (error) {
    const cause = error instanceof OneloraError ? error.cause : error;
    if (cause === undefined || cause instanceof SyntaxError || cause instanceof TypeError) throw error;
    const near = nearest(folder, presetNames);
    const meant = isWeights(folder) ? await presetsFor(folder) : near;
    const quoted = meant?.startsWith("its folder") ? meant : `"${meant}"`;
    const hint = meant === undefined ? await partsIn(folder) : ` (did you mean ${quoted}?)`;
    throw new OneloraError({
      attempted: `opening model "${folder}"`,
      found: isMissing(cause) || meant !== undefined ? `no config.json there${hint}` : (cause as Error).message,
      allowed: NAMES,
    }, { cause, exitCode: 2 });
  }
}

/** Most parameters, which no machine's memory holds. */
const MOST_PARAMETERS = 2 ** 40;

/** Refuses a configuration whose weights nobody could have. */
function refuseImpossible(name: string, layer: Description["layer"]): void {
  const count = Object.values(specs(layer)).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  if (count <= MOST_PARAMETERS) return;
  const found = `a configuration of ${count.toExponential(1)} parameters`;
  throw new OneloraError({ attempted: `opening model ${show(name)}`, found, allowed: `at most ${MOST_PARAMETERS}` });
}

/** The family of a preset. */
function familyOf(preset: string): Family | undefined {
  return families.find(({ presets }) => presets.includes(preset));
}

/** A preset and a place of its weights: `dit-xl-2=DiT-XL-2-256x256.pt`. */
function presetAndWeights(name: string): readonly [preset: string, weights: string] | undefined {
  const [preset, ...weights] = name.split("=");
  return weights.length > 0 && familyOf(preset) !== undefined ? [preset, weights.join("=")] : undefined;
}

/** The class that diffusers makes a model of: it has others for those of the older Transformer2DModel, by their norms. */
function classOf({ _class_name: name, norm_type: norm }: JsonFile["json"]): unknown {
  return name === "Transformer2DModel" && norm === "ada_norm_zero" ? ditFamily.className : name;
}

/** The error for a configuration of another architecture, or of another library; a name that is near means another one. */
function otherArchitecture(
  folder: string,
  written: unknown,
  known: readonly string[],
): OneloraError {
  const found = written === undefined ? "a config.json without model_type" : `model_type ${show(written)}`;
  return new OneloraError({
    attempted: `opening model ${show(folder)}`,
    found,
    allowed: `transformers', diffusers' and timm's files of ${known.join(", ")}`,
  }, { exitCode: 2 });
}

/** The description that a folder's configuration gives. */
async function openFolder(
  folder: string,
  { families: own = [], ...options }: Pick<OpenModelOptions, "families"> & DescriptionOptions,
): Promise<Description> {
  const { json: read, text } = await readConfig(folder);
  refuseQuantised(read, folder);
  const json = classOf(read) === ditFamily.className ? await withPipelineLabels(folder, read) : read;
  const named = (each: Family) =>
    json.model_type === undefined && written !== timmFamily.name ? each.className : each.name;
  const written = json.model_type ?? classOf(json) ?? (json.architecture === undefined ? undefined : timmFamily.name);
  const known = [...own, ...families];
  const family = known.find((each) => written !== undefined && named(each) === written);
  if (family === undefined) throw otherArchitecture(folder, written, known.map((each) => each.name));
  return family.read(json, options, text);
}

/**
 * Brings a model of Hugging Face's hub into the cache, weights included, and pins its revision: the name that is returned
 * stands for the same files for ever, and opening it again needs no network.
 *
 * @param name What {@linkcode openModel} takes
 * @param options Where models of the hub come from and go
 * @returns The name with a commit; any name without `hf:` as it is
 */
export async function pinModel(name: string, options: HubOptions = {}): Promise<string> {
  const [preset, given] = presetAndWeights(name) ?? [undefined, name];
  const fetched = await fetchModel(given, options);
  return fetched === undefined ? name : preset === undefined ? fetched.name : `${preset}=${fetched.name}`;
}

/**
 * Opens a model's description; reads no weights (but for whether they have a head of their own), and of a model on Hugging
 * Face's hub downloads none.
 *
 * @param name A preset name; a Hugging Face folder; a GGUF file of a language model; `hf:ORG/NAME`, with `/FOLDER` and `@REVISION` where needed; or a preset and
 *   its weights joined by `=`, `dit-xl-2=DiT-XL-2-256x256.pt`: files of original repositories have no configuration beside them
 * @param options See {@linkcode OpenModelOptions}
 * @throws OneloraError (exit code 2) if it is none of these
 *
 * @example
 * ```ts
 * import { apply, key, useBackend } from "@onelora/onelora/dsl";
 * import { loadParams, openModel } from "@onelora/onelora/models";
 * import { assertEquals } from "@std/assert";
 * import * as tf from "@tensorflow/tfjs-core";
 *
 * await useBackend("cpu");
 * const vit = await openModel("vit-micro"); // no weights yet
 * const { params } = await loadParams(vit, key(0));
 * const logits = apply(vit.layer, params)(tf.zeros([1, 1, 28, 28]));
 * assertEquals(logits.shape, [1, vit.labels!.length]);
 * ```
 */
export async function openModel(name: string, options: OpenModelOptions = {}): Promise<Model> {
  const [preset, given] = presetAndWeights(name) ?? (familyOf(name) === undefined ? [undefined, name] : [name]);
  const hub = options.hub ?? {};
  const fetched = given === undefined ? undefined : await fetchModel(given, { ...hub, weights: false });
  const unpacked = preset === undefined && fetched === undefined && isGguf(given!)
    ? await unpackGguf(given!)
    : undefined;
  const folder = unpacked ?? fetched?.folder ?? given ?? await shippedFolder(preset!);
  const repository = fetched === undefined ? {} : { repository: { name: fetched.name, options: hub } };
  const place = fetched?.name ?? given;
  const full = preset === undefined ? place! : place === undefined ? preset : `${preset}=${place}`;
  // A preset with weights of this package has their labels.
  const described = preset === undefined || (given === undefined && folder !== undefined)
    ? await openFolder(folder!, options)
    : familyOf(preset)!.preset(preset, options);
  // A GGUF file has a head of its own or none.
  const isUntied = unpacked === undefined && folder !== undefined && await hasOwnHead(folder, described);
  const description = isUntied ? described.with({ untied: true }) : described;
  refuseImpossible(full, description.layer);
  const beside = folder === undefined ? {} : await openCompanions(folder, description);
  return modelOf(description, {
    name: full,
    folder,
    ...(unpacked === undefined ? {} : { weights: given }),
    ...repository,
  }, beside);
}
