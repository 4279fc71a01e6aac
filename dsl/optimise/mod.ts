/**
 * Optimisers as pairs of pure functions, and learning-rate schedules as functions of the step.
 *
 * @module
 */
export * from "./accumulate.ts";
export * from "./adamw.ts";
export * from "./clip.ts";
export * from "./ema.ts";
export * from "./optimiser.ts";
export * from "./schedule.ts";
export * from "./sgd.ts";
