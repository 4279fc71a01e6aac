/**
 * The training loop that every task shares.
 *
 * @module
 */
export * from "./advance.ts";
export * from "./checkpoint.ts";
export * from "./log.ts";
export * from "./method.ts";
export * from "./observe.ts";
export * from "./parts.ts";
export * from "./plan.ts";
export * from "./precision.ts";
export * from "./prediction.ts";
export * from "./progress.ts";
export * from "./run.ts";
export * from "./setting.ts";
export * from "./settings.ts";
export * from "./step.ts";
export * from "./task.ts";
export * from "./train.ts";
