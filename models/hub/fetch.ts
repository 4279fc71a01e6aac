/**
 * Models from Hugging Face's hub: which files of a repository make a model, brought into the cache.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { join } from "../../dsl/files/path.ts";
import { isPage } from "../../dsl/host.ts";
import { isWeights, readShards, weightsAmong } from "../checkpoint/checkpoint.ts";
import { companions, pipelineFiles, pipelineOf } from "../companions/files.ts";
import { type HubName, hubName, parseHubName } from "./name.ts";
import { bring, commitOf, filesOf, snapshotOf } from "./repository.ts";
import { type Hub, type HubOptions, settle } from "./settings.ts";
import type { HubFile } from "./transfer.ts";

/** A model of the hub in the cache. */
export interface FetchedModel {
  /** Its name, the revision pinned: `hf:ORG/NAME@COMMIT`, which stands for the same files for ever. */
  readonly name: string;
  /** Its folder in the cache, or the file that was named. */
  readonly folder: string;
}

/** What of a model is wanted. */
export interface FetchOptions extends HubOptions {
  /** Whether its weights are (default), or only the small files beside them. */
  readonly weights?: boolean;
}

/** The files of a folder, by name. */
function filesIn(files: readonly HubFile[], folder: string): ReadonlyMap<string, HubFile> {
  const prefix = folder === "" ? "" : `${folder}/`;
  const within = files.filter(({ path }) => path.startsWith(prefix) && !path.slice(prefix.length).includes("/"));
  return new Map(within.map((file) => [file.path.slice(prefix.length), file]));
}

/** The file or folder that a name stands for, and the files that are fetched for it before the weights. */
function smallFiles(name: HubName, files: readonly HubFile[]): readonly HubFile[] {
  if (isWeights(name.path)) return [];
  const inFolder = filesIn(files, name.path);
  if (!inFolder.has("config.json")) {
    const folders = files.filter(({ path }) => path.endsWith("/config.json")).slice(0, 8)
      .map(({ path }) => hubName({ ...name, path: path.slice(0, -"/config.json".length), revision: "" }).slice(0, -1));
    throw new OneloraError({
      attempted: `opening ${hubName(name)}`,
      found: "no config.json there",
      allowed: folders.length > 0
        ? `a folder with one: ${folders.join(", ")}`
        : "a repository or folder with one, or PRESET=hf:ORG/NAME/FILE with weights of a preset's shapes",
    });
  }
  const pipeline = pipelineOf(name.path);
  const beside = pipeline === undefined ? [] : pipelineFiles.flatMap((each) => {
    const path = pipeline === "." ? each : `${pipeline}/${each}`;
    return files.find((file) => file.path === path) ?? [];
  });
  return [...["config.json", ...companions].flatMap((each) => inFolder.get(each) ?? []), ...beside];
}

/** Brings the weights: one file, or an index and its shards. */
async function bringWeights(hub: Hub, name: HubName, files: readonly HubFile[]): Promise<void> {
  const attempted = `fetching the weights of ${hubName(name)}`;
  const bringAll = async (wanted: readonly string[], there: ReadonlyMap<string, HubFile>) => {
    for (const each of wanted) {
      const file = there.get(each);
      if (file === undefined) {
        const names = [...there.keys()].filter(isWeights).join(", ") || "no weights";
        throw new OneloraError({ attempted, found: `no ${each}`, allowed: `a file that is there: ${names}` });
      }
      await bring(hub, name, file);
    }
  };
  if (isWeights(name.path)) return await bringAll([name.path], new Map(files.map((file) => [file.path, file])));
  const inFolder = filesIn(files, name.path);
  const chosen = weightsAmong([...inFolder.keys()]);
  await bringAll([chosen ?? "model.safetensors"], inFolder);
  if (!chosen!.endsWith(".json")) return;
  const shards = await readShards(join(snapshotOf(hub, name), chosen!));
  await bringAll([...shards.keys()].sort(), inFolder);
}

/**
 * Brings a model of Hugging Face's hub into the cache, as much of it as is not there: configuration, tokenizer, and weights as
 * safetensors, or PyTorch's where there are no others. Interrupted downloads continue where they stopped; every file's
 * checksum is verified. Needs `--allow-net`, `--allow-read`, `--allow-write`, and `--allow-env` for what is not in the options.
 *
 * @param name `hf:ORG/NAME`, with `/FOLDER` or `/FILE` of weights and `@REVISION`; any other name is not the hub's
 * @param options See {@linkcode FetchOptions}
 * @returns Undefined for a name that is not the hub's
 * @throws OneloraError for what is not there, not allowed, not in reach or not what the hub says it is
 */
export async function fetchModel(name: string, options: FetchOptions = {}): Promise<FetchedModel | undefined> {
  const parsed = parseHubName(name);
  if (parsed === undefined) return undefined;
  if (isPage()) {
    throw new OneloraError({
      attempted: `fetching ${name}`,
      found: "a page, which has no cache",
      allowed: "the address of the model's folder, such as https://huggingface.co/ORG/NAME/resolve/REVISION",
    });
  }
  const hub = await settle(options);
  const pinned = { ...parsed, revision: await commitOf(hub, parsed) };
  const files = await filesOf(hub, pinned);
  if (files !== undefined) {
    for (const file of smallFiles(pinned, files)) await bring(hub, pinned, file);
    if (options.weights ?? true) await bringWeights(hub, pinned, files);
  }
  return { name: hubName(pinned), folder: snapshotOf(hub, pinned) };
}
