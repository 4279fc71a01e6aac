/**
 * Engines: which are there, and making tfjs compute on one of them.
 *
 * @module
 */

export * from "./engine.ts";
export * from "./precision.ts";
