/**
 * A GGUF file as a checkpoint: one tensor at a time, under the names and in the order of rows that Hugging Face's files have.
 *
 * @module
 */
import { type BlockForm, isBlockForm } from "../../dsl/blocks.ts";
import { requireBlocks } from "../../dsl/block_conversion.ts";
import { OneloraError } from "../../dsl/error.ts";
import { show } from "../../dsl/files/json.ts";
import { dequantised, type Quantised } from "../../dsl/quantise.ts";
import { hostArray } from "../../dsl/safetensors/dtype.ts";
import type { Checkpoint } from "../../dsl/safetensors/mod.ts";
import { FACTORS, ggufConfig } from "./config.ts";
import type { GgufEntry } from "./header.ts";
import { pathOfGguf, turned, turningHeads } from "./language.ts";
import { type OpenGguf, openGgufParts } from "./parts.ts";
import { repacked } from "./repack.ts";

/** A checkpoint that holds some tensors in blocks. */
export interface BlockCheckpoint extends Checkpoint {
  /** The form of a tensor in blocks; undefined for one of floats. */
  readonly formOf: (name: string) => BlockForm | undefined;
  /** Whether the file has a tensor in blocks, of whatever form. */
  readonly isPacked: (name: string) => boolean;
  /** Reads a tensor in blocks as it is. */
  readonly readBlocks: (name: string) => Promise<Quantised>;
}

/**
 * Whether a name is that of a GGUF file.
 *
 * @param name Its name or path
 */
export function isGguf(name: string): boolean {
  return name.endsWith(".gguf");
}

/**
 * Opens a GGUF file's tensors. Needs `--allow-read`.
 *
 * @param path The file
 * @throws OneloraError for a malformed file, and a model that is not known here
 */
export async function openGguf(path: string): Promise<BlockCheckpoint> {
  const opened = await openGgufParts(path);
  try {
    return checkpointOf(path, opened);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

function checkpointOf(path: string, { header, close }: OpenGguf): BlockCheckpoint {
  const config = ggufConfig(header, path);
  const names = new Map<string, string>();
  for (const name of header.tensors.keys()) {
    // It is part of the configuration.
    if (name !== FACTORS) names.set(pathOfGguf(name) ?? name, name);
  }
  const entryOf = (name: string): GgufEntry => {
    const entry = header.tensors.get(names.get(name) ?? "");
    if (entry !== undefined) return entry;
    const allowed = `one of its ${names.size} tensors`;
    throw new OneloraError({ attempted: `reading ${path}`, found: `no tensor ${show(name)}`, allowed });
  };
  /** The bytes of a tensor, its rows in the order that they have here. */
  const bytesOf = async (name: string): Promise<Uint8Array<ArrayBuffer>> => {
    const { at, bytes, shape, file, packing } = entryOf(name);
    const read = await file.read(at, bytes);
    const heads = turningHeads(name.replace(/\.(weight|bias)$/, ""), config);
    const rows = heads === undefined ? read : turned(read, shape[0], heads, "halves");
    return packing === undefined ? rows : repacked(packing, rows);
  };
  const readBlocks = async (name: string): Promise<Quantised> => {
    const { form, shape } = entryOf(name);
    const bytes = await bytesOf(name);
    requireBlocks(form as BlockForm, shape, bytes);
    return { form: form as BlockForm, shape, bytes };
  };
  const formOf = (name: string): BlockForm | undefined => {
    const { form } = entryOf(name);
    return isBlockForm(form) ? form : undefined;
  };
  return {
    names: [...names.keys()],
    metadata: {},
    info: (name) => {
      const { form, shape, kept, file } = entryOf(name);
      return { dtype: isBlockForm(form) ? "F32" : form, shape, bytes: kept, file: file.path };
    },
    formOf,
    isPacked: (name) => formOf(name) !== undefined || entryOf(name).packing !== undefined,
    readBlocks,
    read: async (name) => {
      const { form, shape } = entryOf(name);
      if (isBlockForm(form)) return { dtype: "F32", shape, data: dequantised(await readBlocks(name)) };
      return { dtype: form, shape, data: hostArray(form, (await bytesOf(name)).buffer) };
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
