/**
 * The one writer of files: a file appears whole or not at all, and nothing is written through a link.
 *
 * @module
 */
import { OneloraError } from "../error.ts";
import { guarded } from "./file.ts";
import { show, writeNumbers } from "./json.ts";
import { dirname, join, relative, resolve, sep } from "./path.ts";
import { isInMemory, memoryFiles, memoryName } from "./store.ts";

/** Takes bytes in order. */
export type Sink = (bytes: Uint8Array) => Promise<void>;

/** A file's content: text, bytes, or a function that gives them part by part. */
export type Content = string | Uint8Array | ((write: Sink) => Promise<void>);

/** Where a file may go. */
export interface Bounds {
  /** The folder that owns the file: no folder between it and the file may be a link. */
  readonly within?: string;
}

/** A file that grows. Disposing it closes it. */
export interface Appendable extends Disposable {
  /** Puts all of the bytes at the end. */
  readonly append: (bytes: Uint8Array) => void;
}

/** Names of files that are being written. */
const TEMPORARY = /^\.onelora-[0-9a-f-]{36}\.tmp$/;

function temporaryIn(folder: string): string {
  return join(folder, `.onelora-${crypto.randomUUID()}.tmp`);
}

/** What is at a path, links not followed; undefined for nothing. */
function at(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Folders from the owner's own down to the file's, the owner's left out. */
function between(path: string, within: string): readonly string[] {
  const parts = relative(resolve(within), resolve(dirname(path))).split(sep).filter((part) => part !== "");
  if (parts[0] === "..") {
    throw new OneloraError({
      attempted: `writing ${show(path)}`,
      found: "a path out of it",
      allowed: `inside ${within}`,
    });
  }
  return parts.map((_, i) => join(within, ...parts.slice(0, i + 1)));
}

/**
 * Refuses a path that is a link, no regular file, or lies behind a link inside of the folder that owns it.
 *
 * @param attempted What is being done, for the error line
 * @param path The file, which may be missing
 * @param bounds Where it may lie
 */
export function refuseLinks(attempted: string, path: string, { within }: Bounds = {}): void {
  const allowed = "a regular file or a free name, reached without links";
  for (const folder of within === undefined ? [] : between(path, within)) {
    if (at(folder)?.isSymlink) throw new OneloraError({ attempted, found: `a link at ${folder}`, allowed });
  }
  const found = at(path);
  if (found === undefined || found.isFile) return;
  throw new OneloraError({
    attempted,
    found: found.isSymlink ? "a link" : found.isDirectory ? "a folder" : "a device or pipe",
    allowed,
  });
}

/** Why nothing can be written into a folder, links followed: undefined for one that is there or may not be looked at. */
function noFolder(path: string): string | undefined {
  try {
    return Deno.statSync(path).isDirectory ? undefined : `no folder: ${path}`;
  } catch (error) {
    const isNowhere = error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
    return isNowhere ? `no such file or directory: ${path}` : undefined;
  }
}

/**
 * Refuses a file that cannot be written since its folder is not there, or a link, folder or device has its name: to be asked
 * before long work whose result it is.
 *
 * @param path The file, which may be missing
 * @param bounds Where it may lie
 * @throws OneloraError
 */
export function requirePlace(path: string, bounds: Bounds = {}): void {
  if (isInMemory(path)) return;
  const attempted = `writing ${path}`;
  const found = noFolder(dirname(path));
  if (found !== undefined) throw new OneloraError({ attempted, found, allowed: "a file in a folder that exists" });
  refuseLinks(attempted, path, bounds);
}

/** Makes a file's new name last where the system can; others keep it in their own time. */
async function syncFolder(folder: string): Promise<void> {
  try {
    using opened = await Deno.open(folder);
    await opened.sync();
  } catch {
    // Windows opens no folders, and some file systems do not sync them.
  }
}

/** Marks a file as being written; where there are no locks it goes unmarked. */
function mark(file: Deno.FsFile): void {
  try {
    file.lockSync(true);
  } catch {
    // A leftover of such a system stays until somebody removes it.
  }
}

/** Ends that: Windows lets nobody else read a file that is locked, and what grows is read while it does. */
function unmark(file: Deno.FsFile): void {
  try {
    file.unlockSync();
  } catch {
    // It was not marked.
  }
}

/** Puts a file into memory. */
async function writeToMemory(path: string, content: Content): Promise<void> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const keep = (bytes: Uint8Array) => {
    // A copy: what is written may be changed afterwards.
    parts.push(new Uint8Array(bytes));
    return Promise.resolve();
  };
  if (typeof content === "function") await content(keep);
  else await keep(typeof content === "string" ? new TextEncoder().encode(content) : content);
  memoryFiles.set(memoryName(path), new Uint8Array(await new Blob(parts).arrayBuffer()));
}

/**
 * Writes a file: to a random new name in the same folder, to the disk, then to its own name in one step. A file of that name
 * is replaced; a link is refused.
 *
 * @param path The file; its folder exists
 * @param content What it holds
 * @param bounds Where it may lie
 * @throws OneloraError for a folder that is missing or cannot be written, a full disk, a link; a file at `path` stays as it was
 */
export async function writeWhole(path: string, content: Content, bounds: Bounds = {}): Promise<void> {
  const attempted = `writing ${path}`;
  const allowed = "a file in a folder that exists and may be written, and room on the disk";
  await guarded(attempted, allowed, async () => {
    if (isInMemory(path)) return await writeToMemory(path, content);
    requirePlace(path, bounds);
    const temporary = temporaryIn(dirname(path));
    const file = await Deno.open(temporary, { write: true, createNew: true });
    try {
      try {
        mark(file);
        const write = async (bytes: Uint8Array) => {
          for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
        };
        if (typeof content === "function") await content(write);
        else await write(typeof content === "string" ? new TextEncoder().encode(content) : content);
        await file.sync();
      } finally {
        file.close();
      }
      await Deno.rename(temporary, path);
    } catch (error) {
      await Deno.remove(temporary).catch(() => undefined);
      throw error;
    }
    await syncFolder(dirname(path));
  });
}

/**
 * Writes a JSON file, indented, as {@linkcode writeWhole} does; NaN and infinity are `"NaN"`, `"Infinity"`, `"-Infinity"`.
 *
 * @param path The file
 * @param value Its content
 * @param bounds Where it may lie
 */
export async function writeJson(path: string, value: unknown, bounds: Bounds = {}): Promise<void> {
  await writeWhole(path, `${writeNumbers(value, { indent: 2 })}\n`, bounds);
}

/**
 * Replaces a file and keeps it open for what follows. What is appended goes to the file that was made here, whatever
 * takes its name later.
 *
 * @param path The file; its folder exists
 * @param first What it holds at first
 * @param bounds Where it may lie
 * @throws OneloraError as {@linkcode writeWhole}; so does `append`
 */
export function openAppend(path: string, first: Uint8Array, bounds: Bounds = {}): Appendable {
  const attempted = `writing ${path}`;
  const writing = <Result>(action: () => Result): Result => {
    try {
      return action();
    } catch (cause) {
      if (cause instanceof OneloraError) throw cause;
      const allowed = "a file in a folder that exists and may be written, and room on the disk";
      throw new OneloraError({ attempted, found: (cause as Error).message, allowed }, { cause });
    }
  };
  return writing(() => {
    requirePlace(path, bounds);
    const temporary = temporaryIn(dirname(path));
    const file = Deno.openSync(temporary, { append: true, createNew: true });
    const append = (bytes: Uint8Array) => {
      for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
    };
    try {
      mark(file);
      append(first);
      file.syncSync();
      Deno.renameSync(temporary, path);
      unmark(file);
    } catch (error) {
      file.close();
      Deno.removeSync(temporary);
      throw error;
    }
    return { append: (bytes) => writing(() => append(bytes)), [Symbol.dispose]: () => file.close() };
  });
}

/**
 * Makes a folder and those above it.
 *
 * @param folder The folder
 * @param bounds Where it may lie
 * @throws OneloraError where something else has its name, or a link does inside of the folder that owns it
 */
export async function makeFolder(folder: string, { within }: Bounds = {}): Promise<void> {
  if (isInMemory(folder)) return;
  const attempted = `writing into ${folder}`;
  await guarded(attempted, "a folder that can be written", async () => {
    const link = within === undefined
      ? undefined
      : between(join(folder, "file"), within).find((each) => at(each)?.isSymlink);
    if (link !== undefined) throw new OneloraError({ attempted, found: `a link at ${link}`, allowed: "folders only" });
    await Deno.mkdir(folder, { recursive: true });
  });
}

/** Whether nobody is writing a file any more. */
function isAbandoned(path: string): boolean {
  try {
    using file = Deno.openSync(path, { read: true, write: true });
    return file.tryLockSync(true);
  } catch {
    return false;
  }
}

/**
 * Removes what killed runs left half written in a folder; files that somebody is writing stay.
 *
 * @param folder The folder
 */
export function clearLeftovers(folder: string): void {
  for (const { name, isFile } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    if (isFile && TEMPORARY.test(name) && isAbandoned(path)) Deno.removeSync(path);
  }
}
