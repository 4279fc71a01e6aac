/**
 * Files that hold one pickle and the storages that it names.
 *
 * @module
 */
import type { Value } from "./value.ts";

/** Where bytes lie in a file. */
export interface Span {
  /** First byte. */
  readonly begin: number;
  /** How many. */
  readonly bytes: number;
}

/** What a file of PyTorch's holds: the value that was saved, and where the storages in it have their numbers. */
export interface Saved {
  /** The value. */
  readonly value: Value;
  /** Where a storage's bytes lie, if the file has it. */
  readonly storageAt: (key: string) => Span | undefined;
}

/** Largest pickle, bytes; those of large models have one or two million. */
export const MOST_PICKLE_BYTES: number = 2 ** 25;
