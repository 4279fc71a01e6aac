/**
 * A model's parameters into a Hugging Face folder.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { guarded } from "../../dsl/files/file.ts";
import { formatPythonJson } from "../../dsl/files/python_json.ts";
import { makeFolder, writeWhole } from "../../dsl/files/write.ts";
import { bitsOf } from "../../dsl/hold.ts";
import { specs } from "../../dsl/layer.ts";
import { fromTensor, type NamedSource, toBfloat16, toFloat16, writeSafetensors } from "../../dsl/safetensors/mod.ts";
import type { Params, Path } from "../../dsl/tree.ts";
import type { Json } from "../config.ts";
import type { Description } from "../family.ts";
import { gatherRows, published, shapeOfRows } from "../fusion.ts";
import type { Model } from "../model.ts";
import { openWeights } from "./checkpoint.ts";
import { keysOf, pathOf } from "./keys.ts";
import { placeOf } from "./sources.ts";

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
    const type = checkpoint.isPacked?.(key)
      ? "BF16"
      : info.dtype === "F16" || info.dtype === "BF16"
      ? info.dtype
      : "F32";
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
      const [{ path: whole, share }] = rows;
      const bits = rows.length === 1 && share === undefined ? bitsOf(params[whole], dtype) : undefined;
      if (bits !== undefined) return bits;
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
