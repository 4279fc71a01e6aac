/**
 * The training loop that every task shares.
 *
 * @module
 */
export * from "./checkpoint.ts";
export * from "./log.ts";
export * from "./parts.ts";
export * from "./plan.ts";
export * from "./run.ts";
export * from "./step.ts";
export * from "./task.ts";
export * from "./train.ts";
