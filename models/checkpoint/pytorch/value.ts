/**
 * What a pickle of tensors is made of: plain values, and the few objects of Python that hold tensors.
 *
 * @module
 */
import type { DType } from "../../../dsl/safetensors/mod.ts";

/** Numbers of one type in a record of their own. */
export interface Storage {
  /** Tells it from other values. */
  readonly kind: "storage";
  /** Name of the record. */
  readonly key: string;
  /** Type of its elements. */
  readonly dtype: DType;
  /** How many there are. */
  readonly count: number;
}

/** A view of a storage: element [i, j, ...] is number offset + i stride[0] + j stride[1] + ... of it. */
export interface StoredTensor {
  /** Tells it from other values. */
  readonly kind: "tensor";
  /** Where its numbers are. */
  readonly storage: Storage;
  /** Place of its first element. */
  readonly offset: number;
  /** Length of each axis. */
  readonly shape: readonly number[];
  /** Elements of the storage from one place on an axis to the next. */
  readonly stride: readonly number[];
}

/** A name of Python's and what calling it makes here, if it may be called. */
export interface Global {
  /** Tells it from other values. */
  readonly kind: "global";
  /** Module and name, e.g. `collections.OrderedDict`. */
  readonly name: string;
  /** What it makes of its arguments, or words for what is wrong with them. */
  readonly call?: (args: readonly Value[]) => Made;
}

/** Anything in a pickle; lists and tuples are arrays, sharing as in Python. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Value[]
  | Map<Value, Value>
  | Storage
  | StoredTensor
  | Global;

/** A value, or words for what was found instead. */
export type Made = { readonly value: Value } | { readonly wrong: string };

/**
 * Whether a value is of one of the kinds that hold tensors.
 *
 * @param value The value
 * @param kind The kind
 */
export function isKind<Kind extends "storage" | "tensor" | "global">(
  value: Value | undefined,
  kind: Kind,
): value is Extract<Value, { readonly kind: Kind }> {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === kind;
}

/**
 * Whether a value is a length or a place: a whole number from 0 to 2^53 - 1.
 *
 * @param value The value
 */
export function isCount(value: Value | undefined): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
