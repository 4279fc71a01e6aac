/**
 * Names: how parameter paths relate to the keys of published files, of original repositories and of Python's modules, as
 * data.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { glob, type ModuleNames, type Path } from "../../dsl/tree.ts";
import { unwrapped } from "../../dsl/safetensors/mod.ts";

/** A layer and its parts: the rows of its weight and bias are theirs, one part's after the other's, in equal shares. */
export interface Fusion {
  /** Path of the one layer; `*` is one segment, the same in all paths. */
  readonly whole: string;
  /** Paths of its parts, in order. */
  readonly parts: readonly string[];
  /** Which of them published files hold; all are read. */
  readonly published: "whole" | "parts";
}

/** How checkpoint keys relate to parameter paths. */
export interface KeyMap {
  /** Prefix of the published keys, which files of the bare backbone lack. */
  readonly prefix: string;
  /** Paths published without the prefix. */
  readonly unprefixed: readonly string[];
  /** Keys that carry nothing this model uses. */
  readonly ignored: readonly string[];
  /** Further keys that this model does not use, of which it is said why: some would expect that it does. */
  readonly unused?: { readonly patterns: readonly string[]; readonly why: string };
  /** What some files hold and is computed here, each of shape [1, ...]: other values are another model's. */
  readonly constants?: Readonly<Record<string, () => Tensor>>;
  /** How published files call what is called differently here; what several rules match is published under each name. */
  readonly published?: readonly Rename[];
  /** How Python calls modules in memory where that differs from the published keys; the first that matches wins. */
  readonly modules: readonly Rename[];
  /** How the original repository's files call what is called differently here; the first that matches wins. */
  readonly originals?: readonly Rename[];
  /** Other names, read but never written, of what has a name already: the head of a model whose head is its table. */
  readonly aliases?: readonly Rename[];
  /** Where what a file lacks starts from: the head of a model that was published with its table as the head. */
  readonly substitutes?: readonly Rename[];
  /** Layers that some files hold as one and others as several. */
  readonly fusions?: readonly Fusion[];
}

/** How paths begin here and elsewhere, without the prefix; `*` is one segment, the same on both sides. */
export type Rename = readonly [here: string, there: string];

/**
 * A checkpoint key without what wrapped the model, and without the family's prefix.
 *
 * @param keys The family's names
 * @param key Key in the file
 */
export function bareName({ prefix }: KeyMap, key: string): string {
  const name = unwrapped(key);
  return name.startsWith(prefix) ? name.slice(prefix.length) : name;
}

/**
 * Whether a key is one of those that the model does not use, which is to be said.
 *
 * @param keys The family's names
 * @param key Key in the file
 */
export function isUnused(keys: KeyMap, key: string): boolean {
  const name = bareName(keys, key);
  return keys.unused?.patterns.some((pattern) => glob(pattern)(name)) === true;
}

/**
 * The parameter path of a checkpoint key, published or original, whatever wrapped the model; undefined if it is ignored.
 *
 * @param keys The family's names
 * @param key Key in the file
 */
export function pathOf(keys: KeyMap, key: string): Path | undefined {
  const path = bareName(keys, key);
  const isIgnored = keys.ignored.some((pattern) => glob(pattern)(path));
  if (isIgnored || isUnused(keys, key) || Object.hasOwn(keys.constants ?? {}, path)) return undefined;
  return rename(keys.aliases ?? [], 1, rename(keys.originals ?? [], 1, rename(keys.published ?? [], 1, path)));
}

/**
 * The published keys of a parameter path: one, except where a file repeats a tensor.
 *
 * @param keys The family's names
 * @param path Parameter path
 */
export function keysOf(keys: KeyMap, path: Path): readonly string[] {
  const renames = (keys.published ?? []).flatMap((rule) => renamed(rule, 0, path) ?? []);
  return (renames.length === 0 ? [path] : renames).map((name) => prefixOf(keys, path) + name);
}

function prefixOf(keys: KeyMap, path: Path): string {
  return keys.unprefixed.some((pattern) => glob(pattern)(path)) ? "" : keys.prefix;
}

/**
 * The published key of a parameter path, the first if there are several.
 *
 * @param keys The family's names
 * @param path Parameter path
 */
export function keyOf(keys: KeyMap, path: Path): string {
  return keysOf(keys, path)[0];
}

/**
 * The path whose tensor a parameter starts from where a file lacks its own, if there is one.
 *
 * @param keys The family's names
 * @param path Parameter path
 */
export function substituteOf(keys: KeyMap, path: Path): Path | undefined {
  return keys.substitutes?.map((rule) => renamed(rule, 0, path)).find((other) => other !== undefined);
}

/**
 * The key of a parameter path in the original repository's files.
 *
 * @param keys The family's names
 * @param path Parameter path
 */
export function originalKeyOf(keys: KeyMap, path: Path): string {
  return rename(keys.originals ?? [], 0, path);
}

/**
 * The path with its beginning renamed from one side of a rule to the other, or undefined if the rule does not match.
 *
 * @param rule The rule
 * @param from Which side the path is on
 * @param path The path
 */
export function renamed(rule: Rename, from: 0 | 1, path: Path): Path | undefined {
  const pattern = rule[from].replaceAll(".", "\\.").replaceAll("*", "([^.]+)");
  const match = new RegExp(`^${pattern}(?=\\.|$)`).exec(path);
  if (match === null) return undefined;
  const segments = match.slice(1);
  return rule[1 - from].replaceAll("*", () => segments.shift()!) + path.slice(match[0].length);
}

/** The path after the first rule that matches. */
function rename(rules: readonly Rename[], from: 0 | 1, path: Path): Path {
  for (const rule of rules) {
    const other = renamed(rule, from, path);
    if (other !== undefined) return other;
  }
  return path;
}

/**
 * A family's module names in Python: those in the memory of the newest transformers first, then the published keys', which
 * older ones use in memory too.
 *
 * @param keys The family's names
 */
export function moduleNames(keys: KeyMap): ModuleNames {
  return {
    toModules: (path) => {
      const inMemory = keys.modules.flatMap((rule) => renamed(rule, 0, path) ?? []).slice(0, 1);
      return [...new Set([...inMemory.map((name) => prefixOf(keys, path) + name), ...keysOf(keys, path)])];
    },
    toPath: (module) => {
      const name = module.startsWith(keys.prefix) ? module.slice(keys.prefix.length) : module;
      return rename(keys.published ?? [], 1, rename(keys.modules, 1, name));
    },
  };
}
