/**
 * The part of `jsr:@std/cli` that this project uses, on `node:util`, so that a checkout runs offline.
 *
 * @module
 */

export * from "./parse_args.ts";
