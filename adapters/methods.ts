/**
 * Every method, one line each: what a file exports as a described {@linkcode Method} is known by name everywhere, and held to
 * the laws of `tests/adapters/every_method_test.ts`.
 *
 * @module
 */
export * from "./bitfit.ts";
export * from "./difffit.ts";
export * from "./dora.ts";
export * from "./ia3.ts";
export * from "./lora.ts";
export * from "./miss.ts";
export * from "./mora.ts";
export * from "./one_lora.ts";
export * from "./parts.ts";
export * from "./scale.ts";
export * from "./vera.ts";
