/**
 * What the runtime offers: node's modules and Deno's namespace where they are there, and what a page has in their place.
 *
 * @module
 */
import { OneloraError } from "./error.ts";

/** Node's modules that this package uses. */
interface Builtins {
  readonly "node:async_hooks": typeof import("node:async_hooks");
  readonly "node:crypto": typeof import("node:crypto");
  readonly "node:fs": typeof import("node:fs");
  readonly "node:module": typeof import("node:module");
  readonly "node:os": typeof import("node:os");
  readonly "node:path": typeof import("node:path");
  readonly "node:process": typeof import("node:process");
  readonly "node:stream": typeof import("node:stream");
  readonly "node:timers/promises": typeof import("node:timers/promises");
  readonly "node:url": typeof import("node:url");
  readonly "node:v8": typeof import("node:v8");
  readonly "node:vm": typeof import("node:vm");
  readonly "node:worker_threads": typeof import("node:worker_threads");
  readonly "node:zlib": typeof import("node:zlib");
}

/** Asks for one of node's modules without importing it, so that this module loads where there are none. */
type Ask = (name: string) => unknown;

function asked(): Ask | undefined {
  const process = Reflect.get(globalThis, "process") as { readonly getBuiltinModule?: Ask } | undefined;
  return process?.getBuiltinModule?.bind(process);
}

/**
 * A module of node's; undefined in a page.
 *
 * @param name The module
 */
export function builtinIfThere<Name extends keyof Builtins>(name: Name): Builtins[Name] | undefined {
  return asked()?.(name) as Builtins[Name] | undefined;
}

/**
 * A module of node's, for what only Deno can do.
 *
 * @param name The module
 * @throws OneloraError in a page
 */
export function builtin<Name extends keyof Builtins>(name: Name): Builtins[Name] {
  const found = builtinIfThere(name);
  if (found !== undefined) return found;
  throw new OneloraError({ attempted: `using ${name}`, found: "a browser", allowed: "Deno" });
}

/** Whether this is a page, or a thread of one: there are neither files nor processes, and what lies elsewhere is fetched. */
export function isPage(): boolean {
  return globalThis.Deno === undefined;
}
