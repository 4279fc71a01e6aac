/**
 * What every command line of the project is made of: flags as data, one border for errors, progress.
 *
 * @module
 */

export * from "./config.ts";
export * from "./flags.ts";
export * from "./help.ts";
export * from "./main.ts";
export * from "./parse.ts";
export * from "./progress.ts";
