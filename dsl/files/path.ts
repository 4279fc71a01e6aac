/**
 * Paths of files: by the system's own rules where there is one, by those of addresses in a page.
 *
 * @module
 */
import { builtin, builtinIfThere } from "../host.ts";

/** What is used of node's `path`. */
interface Paths {
  readonly basename: (path: string, ending?: string) => string;
  readonly dirname: (path: string) => string;
  readonly extname: (path: string) => string;
  readonly join: (...parts: string[]) => string;
  readonly relative: (from: string, to: string) => string;
  readonly resolve: (...parts: string[]) => string;
  readonly sep: string;
}

/** The part of an address that no path is taken from: `https://host`. */
const ORIGIN = /^[a-z][a-z0-9+.-]*:(?:\/\/[^/]*)?/i;

/** Names of a path, without those that lead nowhere or back. */
function namesOf(path: string): readonly string[] {
  return path.split("/").reduce<readonly string[]>(
    (names, name) => name === "" || name === "." ? names : name === ".." ? names.slice(0, -1) : [...names, name],
    [],
  );
}

/** Names joined to a whole path, which begins as the first one does. */
function joined(...parts: readonly string[]): string {
  const [first = "", ...rest] = parts;
  const [origin = ""] = ORIGIN.exec(first) ?? [];
  const path = [first.slice(origin.length), ...rest].join("/");
  const root = origin.endsWith(":") || !(origin !== "" || path.startsWith("/")) ? "" : "/";
  return `${origin}${root}${namesOf(path).join("/")}`;
}

/** Paths as addresses have them: `https://host/folder/file`, and `memory:folder/file`. */
export const addresses: Paths = {
  basename: (path, ending = "") => {
    const name = namesOf(path.replace(ORIGIN, "")).at(-1) ?? "";
    return name !== ending && name.endsWith(ending) ? name.slice(0, name.length - ending.length) : name;
  },
  dirname: (path) => joined(path, ".."),
  extname: (path) => /[^./](\.[^./]*)$/.exec(path)?.[1] ?? "",
  join: joined,
  relative: (from, to) => {
    const [base, names] = [namesOf(from), namesOf(to)];
    const common = base.findIndex((name, i) => name !== names[i]);
    const shared = common < 0 ? base.length : common;
    return [...base.slice(shared).map(() => ".."), ...names.slice(shared)].join("/");
  },
  resolve: (...parts) => joined(...parts),
  sep: "/",
};

const paths: Paths = builtinIfThere("node:path") ?? addresses;

/** The last name of a path, without what it may end in. */
export const basename: Paths["basename"] = paths.basename;
/** A path without its last name. */
export const dirname: Paths["dirname"] = paths.dirname;
/** What the last name of a path ends in, with the dot. */
export const extname: Paths["extname"] = paths.extname;
/** Paths one after the other as one. */
export const join: Paths["join"] = paths.join;
/** The path from one to another. */
export const relative: Paths["relative"] = paths.relative;
/** A path from the root on. */
export const resolve: Paths["resolve"] = paths.resolve;
/**
 * The path of a file's address, as the system writes it: on Windows with its drive and without the first slash, which an
 * address's own path has.
 *
 * @param address `file://...`
 */
export function fileOf(address: URL): string {
  return builtin("node:url").fileURLToPath(address);
}
/** What stands between two names. */
export const sep: string = paths.sep;
