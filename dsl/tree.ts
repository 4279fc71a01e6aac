/**
 * Parameter trees: tensors (or anything else) by path. A path is the parameter's name in the published checkpoint, its
 * segments joined by dots, so a tree is a flat record and freezing, saving and counting are one-line functions of it.
 *
 * @module
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { OneloraError } from "./error.ts";

/** Where a parameter or layer lives, e.g. `encoder.layer.0.attention.attention.query.weight`. */
export type Path = string;

/** How our paths relate to the names of Python's modules, on which PEFT's keys and targets are built. */
export interface ModuleNames {
  /** Every name that a path (a layer's, or one further below) has had in Python, the newest first. */
  readonly toModules: (path: Path) => readonly string[];
  /** The path that a name stands for, whichever of those it is. */
  readonly toPath: (module: string) => Path;
}

/** Values by path. */
export type Tree<Value> = Readonly<Record<Path, Value>>;

/** Tensors by path: a model's parameters, their gradients, an optimiser's state. */
export type Params = Tree<Tensor>;

/**
 * Joins path segments, leaving out empty ones.
 *
 * @param segments Paths or names
 */
export function join(...segments: readonly string[]): Path {
  return segments.filter((segment) => segment !== "").join(".");
}

/**
 * Applies a function to every value: `{p: v} -> {p: f(v, p)}`.
 *
 * @param f Function of value and path
 */
export function mapTree<A, B>(f: (value: A, path: Path) => B): (tree: Tree<A>) => Tree<B> {
  return (tree) => Object.fromEntries(Object.entries(tree).map(([path, value]) => [path, f(value, path)]));
}

/** A tree cut in two by a predicate. */
export interface Parts<Value> {
  /** Where the predicate holds. */
  readonly kept: Tree<Value>;
  /** The others. */
  readonly rest: Tree<Value>;
}

/**
 * Cuts a tree in two; {@linkcode combine} is its inverse. Freezing is this: `partition(isTrainable)(params)`.
 *
 * @param predicate Which entries are kept
 *
 * @example
 * ```ts
 * import { partition } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * const { kept, rest } = partition<number>((path) => path.endsWith("bias"))({ "a.bias": 1, "a.weight": 2 });
 * assertEquals([kept, rest], [{ "a.bias": 1 }, { "a.weight": 2 }]);
 * ```
 */
export function partition<Value>(
  predicate: (path: Path, value: Value) => boolean,
): (tree: Tree<Value>) => Parts<Value> {
  return (tree) => {
    const kept: Record<Path, Value> = {};
    const rest: Record<Path, Value> = {};
    for (const [path, value] of Object.entries(tree)) (predicate(path, value) ? kept : rest)[path] = value;
    return { kept, rest };
  };
}

/**
 * Joins trees with distinct paths.
 *
 * @param trees Trees to join
 * @throws OneloraError if a path occurs twice
 */
export function combine<Value>(...trees: readonly Tree<Value>[]): Tree<Value> {
  const joined: Record<Path, Value> = {};
  for (const tree of trees) {
    for (const [path, value] of Object.entries(tree)) {
      if (Object.hasOwn(joined, path)) {
        throw new OneloraError({
          attempted: "combining parameter trees",
          found: `"${path}" twice`,
          allowed: "distinct paths",
        });
      }
      joined[path] = value;
    }
  }
  return joined;
}

/**
 * Number of scalars in a tree of tensors or of shapes' owners: sum over paths of prod(shape).
 *
 * @param tree Anything with a `shape` at each path
 */
export function count(tree: Tree<{ readonly shape: readonly number[] }>): number {
  return Object.values(tree).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}

/**
 * prod(shape).
 *
 * @param shape Dimensions
 */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** What was taken out of a structure, and the structure around it. */
export interface Flat<Leaf> {
  /** The leaves, in order. */
  readonly leaves: readonly Leaf[];
  /** Everything else, as text: equal texts, equal structures. */
  readonly skeleton: string;
  /** The structure again, around other leaves. */
  readonly rebuild: <Other>(leaves: readonly Other[]) => unknown;
}

/**
 * Takes the leaves out of arrays and records, nested; whatever else is found there belongs to the structure.
 *
 * @param isLeaf What is a leaf
 *
 * @example
 * ```ts
 * import { flatten } from "@onelora/onelora/dsl";
 * import { assertEquals } from "@std/assert";
 * const numbers = flatten((node): node is number => typeof node === "number");
 * const { leaves, rebuild } = numbers({ a: [1, 2], b: { c: 3, name: "d" } });
 * assertEquals(leaves, [1, 2, 3]);
 * assertEquals(rebuild([4, 5, 6]), { a: [4, 5], b: { c: 6, name: "d" } });
 * ```
 */
export function flatten<Leaf>(isLeaf: (node: unknown) => node is Leaf): (structure: unknown) => Flat<Leaf> {
  return (structure) => {
    const leaves: Leaf[] = [];
    const describe = (node: unknown): unknown => {
      if (isLeaf(node)) return { leaf: leaves.push(node) };
      if (Array.isArray(node)) return node.map(describe);
      if (typeof node === "object" && node !== null) {
        return { record: Object.entries(node).map(([name, value]) => [name, describe(value)]) };
      }
      return { other: node === undefined ? "undefined" : node };
    };
    const skeleton = JSON.stringify(describe(structure));
    const rebuild = <Other>(others: readonly Other[]): unknown => {
      let next = 0;
      const build = (node: unknown): unknown => {
        if (isLeaf(node)) return others[next++];
        if (Array.isArray(node)) return node.map(build);
        if (typeof node === "object" && node !== null) {
          return Object.fromEntries(Object.entries(node).map(([name, value]) => [name, build(value)]));
        }
        return node;
      };
      return build(structure);
    };
    return { leaves, skeleton, rebuild };
  };
}

/**
 * A path pattern as a predicate: `*` is any one segment (or part of one), `**` any number of segments, `{a,b}` either,
 * and a comma outside braces joins alternatives. A pattern without `**` also matches as the end of a path, so `query`
 * finds every `...query`.
 *
 * @param pattern E.g. `**.attention.*`, `query,value`, `encoder.layer.{0,1}.**`
 *
 * @example
 * ```ts
 * import { glob } from "@onelora/onelora/dsl";
 * import { assert } from "@std/assert";
 * assert(glob("**.attention.*")("encoder.0.attention.query"));
 * assert(glob("query,value")("encoder.0.attention.query"));
 * assert(!glob("query")("encoder.0.attention.key"));
 * ```
 */
export function glob(pattern: string): (path: Path) => boolean {
  const alternatives = pattern.split(/,(?![^{]*\})/).map((part) => part.trim()).filter((part) => part !== "");
  const expressions = alternatives.map((part) => {
    const source = part.replace(/\*\*\.|\.\*\*|\*\*|\*|[{},]|[.+?^$()|[\]\\]/g, (token) => {
      switch (token) {
        case "**.":
          return "(?:.*\\.)?";
        case ".**":
          return "(?:\\..*)?";
        case "**":
          return ".*";
        case "*":
          return "[^.]*";
        case "{":
          return "(?:";
        case "}":
          return ")";
        case ",":
          return "|";
        default:
          return `\\${token}`;
      }
    });
    return new RegExp(part.includes("**") ? `^${source}$` : `^(?:.*\\.)?${source}$`);
  });
  return (path) => expressions.some((expression) => expression.test(path));
}
