/**
 * A GGUF file's model without its weights, as the folder that Hugging Face's files would be: everything that reads a folder
 * reads it.
 *
 * @module
 */
import { memoryFiles } from "../../dsl/files/store.ts";
import { hostArray } from "../../dsl/safetensors/dtype.ts";
import { FACTORS, ggufConfig } from "./config.ts";
import type { GgufHeader } from "./header.ts";
import { openGgufParts } from "./parts.ts";
import { ggufTokenizer } from "./tokenizer.ts";

/** Names of the folders by file: a file that is opened again is unpacked to the same place. */
const folders = new Map<string, string>();

/** The factors of rotary positions, if the file has some. */
async function factorsOf({ tensors }: GgufHeader): Promise<Float32Array | undefined> {
  const entry = tensors.get(FACTORS);
  // In another form they are refused.
  if (entry?.form !== "F32" || entry.packing !== undefined) return undefined;
  return hostArray("F32", (await entry.file.read(entry.at, entry.bytes)).buffer) as Float32Array;
}

/**
 * Puts the configuration and the tokenizer of a GGUF file into a folder in memory. Needs `--allow-read`.
 *
 * @param path The file
 * @returns The folder, `memory:...`
 * @throws OneloraError for a file that is malformed, or asks for what is not computed here
 */
export async function unpackGguf(path: string): Promise<string> {
  const { header, close } = await openGgufParts(path);
  try {
    const files = {
      "config.json": ggufConfig(header, path, await factorsOf(header)),
      ...ggufTokenizer(header, path),
    };
    const folder = folders.get(path) ?? `gguf/${folders.size}`;
    folders.set(path, folder);
    for (const [name, json] of Object.entries(files)) {
      memoryFiles.set(`${folder}/${name}`, new TextEncoder().encode(JSON.stringify(json)));
    }
    return `memory:${folder}`;
  } finally {
    await close();
  }
}
