/**
 * A GGUF file's model without its weights, as the folder that Hugging Face's files would be: everything that reads a folder
 * reads it.
 *
 * @module
 */
import { guarded, openRanged } from "../../dsl/files/file.ts";
import { hostArray } from "../../dsl/safetensors/dtype.ts";
import { ggufConfig } from "./config.ts";
import { type GgufHeader, readGgufHeader } from "./header.ts";
import { ggufTokenizer } from "./tokenizer.ts";
import type { RangedFile } from "../../dsl/files/file.ts";

/** Folders of this process, which go with it. */
const folders = new Map<string, string>();

function forget(): void {
  for (const folder of folders.values()) {
    try {
      Deno.removeSync(folder, { recursive: true });
    } catch {
      // Whoever removed it before meant the same.
    }
  }
}

/** The factors of rotary positions, if the file has some. */
async function factorsOf(file: RangedFile, { tensors }: GgufHeader): Promise<Float32Array | undefined> {
  const entry = tensors.get("rope_freqs.weight");
  if (entry === undefined || entry.form !== "F32") return undefined;
  return hostArray("F32", (await file.read(entry.at, entry.bytes)).buffer) as Float32Array;
}

/**
 * Writes the configuration and the tokenizer of a GGUF file into a folder for the time of this process. Needs `--allow-read`,
 * and `--allow-write` for files of its own.
 *
 * @param path The file
 * @returns The folder
 * @throws OneloraError for a file that is malformed, or asks for what is not computed here
 */
export async function unpackGguf(path: string): Promise<string> {
  const file = await openRanged(path);
  try {
    const header = await readGgufHeader(file);
    const files = {
      "config.json": ggufConfig(header, path, await factorsOf(file, header)),
      ...ggufTokenizer(header, path),
    };
    return await guarded(`unpacking ${path}`, "a temporary folder that can be written", async () => {
      const known = folders.get(path);
      const folder = known ?? await Deno.makeTempDir({ prefix: "onelora-gguf-" });
      if (folders.size === 0) globalThis.addEventListener("unload", forget);
      folders.set(path, folder);
      for (const [name, json] of Object.entries(files)) {
        await Deno.writeTextFile(`${folder}/${name}`, JSON.stringify(json));
      }
      return folder;
    });
  } finally {
    await file.close();
  }
}
