/**
 * What a run leaves for people to look at.
 *
 * @module
 */
export * from "./event.ts";
export * from "./events.ts";
export * from "./records.ts";
