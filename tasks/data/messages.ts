/**
 * What threads that prepare examples are told, and what they answer.
 *
 * @module
 */

import { OneloraError, type Problem } from "../../dsl/error.ts";
import type { Key } from "../../dsl/random.ts";
import type { Origin } from "./origin.ts";

/** What a thread is told: first how a source's examples are made, then which to make. */
export type Request =
  | { readonly source: number; readonly origin: Origin }
  | {
    readonly source: number;
    readonly indices: Uint32Array;
    readonly root: Key;
    readonly stored?: readonly unknown[];
  };

/** An error as plain data. */
export type Fault =
  | { readonly problem: Problem; readonly exitCode: 1 | 2 }
  | { readonly name: string; readonly message: string; readonly stack?: string };

/** What a thread has read, errors as plain data. */
export type Readings = readonly ({ readonly index: number; readonly item: unknown } | { readonly fault: Fault })[];

/**
 * What a thread answers, in the order of the requests: what it has read, nothing for the first one; or, at any time,
 * that it is at its end.
 */
export type Answer =
  | { readonly readings: Readings }
  | { readonly fault: Fault }
  | { readonly fatal: string };

/** An error as plain data. */
export function faultOf(error: unknown): Fault {
  if (error instanceof OneloraError) return { problem: error.problem, exitCode: error.exitCode };
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  return { name, message, stack };
}

/** The error that plain data describe. */
export function errorOf(fault: Fault): Error {
  if ("problem" in fault) return new OneloraError(fault.problem, { exitCode: fault.exitCode });
  const { name, message, stack } = fault;
  return Object.assign(new Error(message), { name, stack });
}

/** The buffers of arrays in a value, at any depth: what moves between threads instead of being copied. */
export function buffersIn(value: unknown, found: Set<ArrayBuffer> = new Set()): ReadonlySet<ArrayBuffer> {
  if (ArrayBuffer.isView(value)) found.add(value.buffer as ArrayBuffer);
  else if (typeof value === "object" && value !== null) {
    for (const each of Object.values(value)) buffersIn(each, found);
  }
  return found;
}
