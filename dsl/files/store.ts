/**
 * Where files are: on the disk by their path, in memory as `memory:NAME`, and in a page, which has no disk, at addresses that
 * are read by ranges.
 *
 * @module
 */
import { OneloraError } from "../error.ts";
import { isPage } from "../host.ts";

/** What is at a path. */
export interface Found {
  /** Whether it is a file. */
  readonly isFile: boolean;
  /** Whether it is a folder. */
  readonly isDirectory: boolean;
  /** Bytes of a file, where that is known. */
  readonly size?: number;
}

/** A file that is open for reading. */
export interface Source {
  /** Its size, bytes. */
  readonly bytes: number;
  /** Fills an array from byte `begin` on. */
  readonly fill: (begin: number, into: Uint8Array<ArrayBuffer>) => Promise<void>;
  /** Closes it. */
  readonly close: () => void;
}

/** Files that are on no disk. */
export interface Store {
  /** What is at a path; rejects with {@linkcode Missing}. */
  readonly stat: (path: string) => Promise<Found>;
  /** Opens a file. */
  readonly open: (path: string) => Promise<Source>;
  /** Names of a folder's files; where folders cannot be listed, the first of the usual ones that is there. */
  readonly names: (folder: string, usual: readonly string[]) => Promise<readonly string[]>;
}

/** Nothing at a path. */
export class Missing extends Error {}

/** Whether an error says that nothing is at a path. */
export function isMissing(error: unknown): boolean {
  return error instanceof Missing || !isPage() && error instanceof Deno.errors.NotFound;
}

/** Whether an error says that nothing is at a path, nor could be: what it lies in is no folder. */
export function isNowhere(error: unknown): boolean {
  return isMissing(error) || !isPage() && error instanceof Deno.errors.NotADirectory;
}

const MEMORY = "memory:";

/** Whether a path is one of {@linkcode memoryFiles}. */
export function isInMemory(path: string): boolean {
  return path.startsWith(MEMORY);
}

/**
 * Files in memory, `memory:NAME`, by their names: `memory:digits/adapter_config.json` is here as
 * `digits/adapter_config.json`. In a page models are saved here and loaded from here; elsewhere it does, too.
 *
 * @example
 * ```ts
 * import { memoryFiles, openSafetensors, writeSafetensors } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * await writeSafetensors("memory:here.safetensors", [["x", { dtype: "F32", shape: [1], data: Float32Array.of(7) }]]);
 * await using file = await openSafetensors("memory:here.safetensors");
 * assertEquals((await file.read("x")).data, Float32Array.of(7));
 * memoryFiles.delete("here.safetensors");
 * ```
 */
export const memoryFiles: Map<string, Uint8Array<ArrayBuffer>> = new Map();

/** A path's name among {@linkcode memoryFiles}. */
export function memoryName(path: string): string {
  return path.slice(MEMORY.length).replaceAll(/[\\/]+/g, "/");
}

const memory: Store = {
  stat: (path) => {
    const name = memoryName(path).replace(/\/$/, "");
    const isFile = memoryFiles.has(name);
    const isDirectory = [...memoryFiles.keys()].some((each) => name === "" || each.startsWith(`${name}/`));
    if (isFile || isDirectory) return Promise.resolve({ isFile, isDirectory });
    return Promise.reject(new Missing("no such file in memory"));
  },
  open: (path) => {
    const content = memoryFiles.get(memoryName(path));
    if (content === undefined) return Promise.reject(new Missing("no such file in memory"));
    return Promise.resolve({
      bytes: content.length,
      fill: (begin, into) => {
        if (begin + into.length > content.length) throw new RangeError(`the file's end at byte ${content.length}`);
        into.set(content.subarray(begin, begin + into.length));
        return Promise.resolve();
      },
      close: () => {},
    });
  },
  names: (folder) => {
    const start = `${memoryName(folder).replace(/\/$/, "")}/`;
    const below = [...memoryFiles.keys()].filter((name) => name.startsWith(start)).map((name) =>
      name.slice(start.length)
    );
    return Promise.resolve(below.filter((name) => !name.includes("/")));
  },
};

/** Bytes that are asked of a server at a time: enough for most tensors, and for the header of any file that is read here. */
const BLOCK = 2 ** 20;
/** Blocks of a file that are kept: tensors lie beside those that are read next. */
const KEPT = 8;

/** What files of this package's kinds end in; whatever else has an address stands for a folder. */
const FILES = /\.(safetensors|jsonl?|bin|pt|pth|ckpt|gguf|txt|model|jinja|idx|ubyte)$|-ubyte$/;

/** Asks a server for a file, or some of it. */
async function ask(path: string, init: RequestInit): Promise<Response> {
  const response = await fetch(path, init);
  if (response.ok) return response;
  await response.body?.cancel();
  if (response.status === 404 || response.status === 410) throw new Missing(`status ${response.status}`);
  throw new Error(`status ${response.status}`);
}

/** A part of a file, and the size of all of it; all of it from servers that know no ranges. */
async function part(path: string, begin: number, length: number) {
  const response = await ask(path, { headers: { range: `bytes=${begin}-${begin + length - 1}` } });
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (response.status !== 206) return { begin: 0, bytes, size: bytes.length };
  const [, first, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "") ?? [];
  if (Number(first) !== begin || bytes.length !== Math.min(length, Number(size) - begin)) {
    throw new Error(`${bytes.length} bytes of ${first}/${size} where ${length} from ${begin} on were asked for`);
  }
  return { begin, bytes, size: Number(size) };
}

const web: Store = {
  stat: async (path) => {
    const isFile = FILES.test(new URL(path).pathname);
    if (isFile) await ask(path, { method: "HEAD" });
    return { isFile, isDirectory: !isFile };
  },
  open: async (path) => {
    const first = await part(path, 0, BLOCK);
    const blocks = new Map([[0, first.bytes]]);
    const isWhole = first.bytes.length === first.size;
    const block = async (index: number) => {
      const known = blocks.get(index);
      if (known !== undefined) return known;
      const { begin, bytes, size } = await part(path, index * BLOCK, Math.min(BLOCK, first.size - index * BLOCK));
      if (begin !== index * BLOCK || size !== first.size) throw new Error("a file that has changed");
      if (blocks.size >= KEPT) blocks.delete(blocks.keys().next().value!);
      blocks.set(index, bytes);
      return bytes;
    };
    return {
      bytes: first.size,
      fill: async (begin, into) => {
        if (begin + into.length > first.size) throw new RangeError(`the file's end at byte ${first.size}`);
        if (isWhole) return into.set(first.bytes.subarray(begin, begin + into.length));
        for (let filled = 0; filled < into.length;) {
          const at = begin + filled;
          const some = (await block(Math.floor(at / BLOCK))).subarray(at % BLOCK).subarray(0, into.length - filled);
          into.set(some, filled);
          filled += some.length;
        }
      },
      close: () => blocks.clear(),
    };
  },
  names: async (folder, usual) => {
    for (const name of usual) {
      const found = await ask(`${folder}/${name}`, { method: "HEAD" }).catch((error) => {
        if (error instanceof Missing) return undefined;
        throw error;
      });
      if (found !== undefined) return [name];
    }
    return [];
  },
};

/**
 * The store that a path is of; nothing for one of the disk.
 *
 * @param path `memory:NAME`, or in a page an address
 * @throws OneloraError for any other path in a page
 */
export function storeOf(path: string | URL): Store | undefined {
  if (isInMemory(`${path}`)) return memory;
  if (!isPage()) return undefined;
  if (/^https?:/.test(`${path}`)) return web;
  const allowed = "an address (https://...), or memory:NAME";
  throw new OneloraError({ attempted: `reading ${path}`, found: "a path, and no disk in a page", allowed });
}

/**
 * Files at addresses, as a page reads them.
 *
 * @internal
 */
export const addressed: Store = web;

/**
 * What is at a path, links followed. Needs `--allow-read`.
 *
 * @param path Where to look
 */
export async function statOf(path: string): Promise<Found> {
  return await (storeOf(path)?.stat(path) ?? Deno.stat(path));
}

/**
 * Whether a file is at a path. Needs `--allow-read`.
 *
 * @param path Where to look
 */
export async function isFileAt(path: string): Promise<boolean> {
  return await statOf(path).then(({ isFile }) => isFile, () => false);
}

/**
 * Names of a folder's files and links, in any order. Needs `--allow-read`.
 *
 * @param folder The folder
 * @param usual Names of which the first that is there is enough
 */
export async function namesIn(folder: string, usual: readonly string[]): Promise<readonly string[]> {
  const store = storeOf(folder);
  if (store !== undefined) return await store.names(folder, usual);
  const entries = await Array.fromAsync(Deno.readDir(folder));
  return entries.filter(({ isDirectory }) => !isDirectory).map(({ name }) => name);
}
