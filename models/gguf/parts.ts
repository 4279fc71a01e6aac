/**
 * GGUF files in parts, as llama.cpp's gguf-split leaves them: `NAME-00001-of-00003.gguf` with the metadata, and the others with
 * tensors alone.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { openRanged, type RangedFile } from "../../dsl/files/file.ts";
import { show } from "../../dsl/files/json.ts";
import { basename } from "../../dsl/files/path.ts";
import { type GgufHeader, readGgufHeader } from "./header.ts";

/** What a file's name says of its place among parts. */
function placeOf(path: string): { readonly stem: string; readonly part: number; readonly of: number } | undefined {
  const [, stem, part, of] = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/.exec(path) ?? [];
  return stem === undefined ? undefined : { stem, part: Number(part), of: Number(of) };
}

/** A whole number of a file's metadata. */
function countOf({ metadata }: GgufHeader, key: string): number | undefined {
  const value = metadata.get(key);
  return value === undefined ? undefined : Number(value);
}

/** A GGUF file, whole or in parts. */
export interface OpenGguf {
  /** Metadata of the first part, and tensors of all. */
  readonly header: GgufHeader;
  /** Closes all. */
  readonly close: () => Promise<void>;
}

/**
 * Opens a GGUF file, with the parts that belong to it. Needs `--allow-read`.
 *
 * @param path The file, or the first of its parts
 * @throws OneloraError for a malformed file, and for parts that are not there, or are those of another
 */
export async function openGgufParts(path: string): Promise<OpenGguf> {
  const files: RangedFile[] = [];
  const close = async () => {
    for (const file of files) await file.close();
  };
  const opened = async (at: string) => {
    files.push(await openRanged(at));
    return await readGgufHeader(files.at(-1)!);
  };
  const wrong = (at: string, found: string, allowed: string) =>
    new OneloraError({ attempted: `reading ${at}`, found, allowed });
  try {
    const header = await opened(path);
    const count = countOf(header, "split.count") ?? 1;
    if (count === 1) return { header, close };
    const place = placeOf(path);
    const nameOf = (stem: string, part: number) =>
      `${stem}-${`${part}`.padStart(5, "0")}-of-${`${count}`.padStart(5, "0")}.gguf`;
    if (place === undefined || place.of !== count) {
      const allowed = `the name of its first part, ${nameOf("NAME", 1)}, beside the others`;
      throw wrong(path, `one of ${count} parts by another name`, allowed);
    }
    if (place.part !== 1) {
      throw wrong(path, `part ${place.part} of ${count}`, `the first, ${basename(nameOf(place.stem, 1))}`);
    }
    const tensors = new Map(header.tensors);
    for (let part = 1; part <= count; part++) {
      const at = nameOf(place.stem, part);
      const own = part === 1 ? header : await opened(at);
      const [number, whole] = [countOf(own, "split.no"), countOf(own, "split.count")];
      if (number !== part - 1 || whole !== count) {
        const found = `split.no ${show(number)} and split.count ${show(whole)}`;
        throw wrong(at, found, `${part - 1} and ${count}, as it is called`);
      }
      if (part === 1) continue;
      for (const [name, entry] of own.tensors) {
        if (tensors.has(name)) throw wrong(at, `tensor ${show(name)}, which another part has, too`, "each tensor once");
        tensors.set(name, entry);
      }
    }
    const all = countOf(header, "split.tensors.count");
    if (all !== undefined && all !== tensors.size) {
      throw wrong(path, `${tensors.size} tensors in ${count} parts`, `${all}, its split.tensors.count`);
    }
    return { header: { metadata: header.metadata, tensors }, close };
  } catch (error) {
    await close();
    throw error;
  }
}
