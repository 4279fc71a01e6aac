/**
 * Mathematical reasoning: questions with worked answers, the loss on responses, exact match.
 *
 * @module
 */
export * from "./answers/answer.ts";
export { exactNumber } from "./answers/number.ts";
export * from "./batches.ts";
export * from "./characters.ts";
export { encodeExample, encodeExamples, encodeOpen, IGNORED_LABEL, microBatches, padExamples } from "./encode.ts";
export type { EncodedExample, EncodedExamples, TokenBatch } from "./encode.ts";
export * from "./example.ts";
export * from "./objective.ts";
export * from "./open.ts";
export { isPromptPair, ownPairs, type PromptPair } from "./own.ts";
export * from "./problems.ts";
export { type ModelQuestions, openQuestions, tokenizerOf } from "./questions.ts";

export * from "./report.ts";
export * from "./respond.ts";
export type { ReasoningSettings } from "./settings.ts";
export * from "./task.ts";
export * from "./template.ts";
