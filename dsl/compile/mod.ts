/**
 * The compiler: functions of tensors as programs of kernel calls.
 *
 * @module
 */
export * from "./compile.ts";
export * from "./passes.ts";
export * from "./plan.ts";
export * from "./program.ts";
export * from "./recurrence.ts";
export * from "./recurrent.ts";
export * from "./replay.ts";
export * from "./resident.ts";
export * from "./step.ts";
export { registerRule, type Rule, type RuleArguments, traceableKernels } from "./shapes.ts";
export { apart, trace } from "./trace.ts";
