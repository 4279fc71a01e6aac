/**
 * Whole files from anywhere, none larger than its reader can use.
 *
 * @module
 */
import { OneloraError } from "../error.ts";
import { guarded } from "./file.ts";
import { refusePointer } from "./pointer.ts";
import { type Store, storeOf } from "./store.ts";

/** Most bytes of a file of settings. */
export const SETTINGS_BYTES: number = 2 ** 24;
/** Most bytes of a file of text: a tokenizer, a log, a list, a report's part. */
export const TEXT_BYTES: number = 2 ** 28;
/** Most bytes of a file of numbers or pictures that is read at once. */
const DATA_BYTES: number = 2 ** 31;

function tooLarge(attempted: string, bytes: number, most: number): OneloraError {
  return new OneloraError({ attempted, found: `${bytes} bytes`, allowed: `a file of at most ${most} bytes` });
}

/** A whole file of a store. */
async function readStored(store: Store, path: string, attempted: string, most: number) {
  const file = await store.open(path);
  try {
    if (file.bytes > most) throw tooLarge(attempted, file.bytes, most);
    const bytes = new Uint8Array(file.bytes);
    await file.fill(0, bytes);
    return bytes;
  } finally {
    file.close();
  }
}

/** A whole file of a store, or of the disk. */
async function readAnywhere(path: string | URL, attempted: string, most: number): Promise<Uint8Array<ArrayBuffer>> {
  const store = storeOf(path);
  if (store !== undefined) return await readStored(store, `${path}`, attempted, most);
  const { isFile, isDirectory, size } = await Deno.stat(path);
  if (!isFile) {
    throw new OneloraError({
      attempted,
      found: isDirectory ? "a folder" : "a device or pipe",
      allowed: "a readable file",
    });
  }
  if (size > most) throw tooLarge(attempted, size, most);
  return await Deno.readFile(path);
}

/**
 * A whole file. Devices and pipes, which may have no end, are refused.
 *
 * @param path Where it lies
 * @param most Most bytes
 * @throws OneloraError for what is missing, no regular file, larger, or may not be read
 */
export async function readWhole(path: string | URL, most: number = DATA_BYTES): Promise<Uint8Array<ArrayBuffer>> {
  const attempted = `reading ${path}`;
  return await guarded(attempted, "a readable file", async () => {
    const bytes = await readAnywhere(path, attempted, most);
    refusePointer(attempted, bytes);
    return bytes;
  });
}

/**
 * A whole file of UTF-8 text.
 *
 * @param path Where it lies
 * @param most Most bytes
 * @throws OneloraError as {@linkcode readWhole}
 */
export async function readText(path: string | URL, most: number = TEXT_BYTES): Promise<string> {
  return new TextDecoder().decode(await readWhole(path, most));
}
