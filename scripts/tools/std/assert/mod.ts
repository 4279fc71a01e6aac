/**
 * The assertions of `jsr:@std/assert` that this project uses, on `node:assert` and `node:util`, so that a checkout
 * tests itself offline. Signatures and failure types follow the original: every failure is an {@linkcode AssertionError}.
 *
 * @module
 */

export * from "./assertion_error.ts";
export * from "./equality.ts";
export * from "./errors.ts";
export * from "./values.ts";
