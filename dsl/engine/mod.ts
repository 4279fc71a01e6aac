/**
 * Engines: which are there, and making tfjs compute on one of them.
 *
 * @module
 */

export * from "./engine.ts";
export { engineInUse, isEngineChosen } from "./in_use.ts";
export * from "./interface.ts";
export * from "./kinds.ts";
export * from "./precision.ts";
