/**
 * Questions, true answers and those of several models, for people to read (paper, Appendix C).
 *
 * @module
 */
import { plain, row } from "../report/markdown_table.ts";
import type { ComparedAnswers } from "../trainer/answering.ts";
import { isSameAnswer } from "./answers/answer.ts";

/**
 * A Markdown report: under each question the true answer and, side by side, the others, each marked right or wrong;
 * above all, how many each got right.
 *
 * @param questions What to compare
 * @param isRight Whether an answer is the true one (default: by their final answers)
 *
 * @example
 * ```ts
 * import { answersReport } from "./report.ts";
 * import { assert } from "@std/assert";
 * const report = answersReport([{
 *   query: "What is 1 + 1?",
 *   truth: "The answer is: 2",
 *   answers: { "1lora": "The answer is: 2", lora: "The answer is: 3" },
 * }]);
 * assert(report.includes("| 1lora: right | lora: wrong |"));
 * ```
 */
export function answersReport(
  questions: readonly ComparedAnswers[],
  isRight: (truth: string, answer: string) => boolean = isSameAnswer,
): string {
  const names = Object.keys(questions[0]?.answers ?? {});
  const right = (name: string) => questions.filter(({ truth, answers }) => isRight(truth, answers[name])).length;
  const sections = questions.map(({ query, truth, answers }, i) => [
    `## Question ${i + 1}`,
    "",
    row(["Question", "Answer"]),
    row(["---", "---"]),
    row([plain(query), plain(truth)]),
    "",
    row(names.map((name) => `${plain(name)}: ${isRight(truth, answers[name]) ? "right" : "wrong"}`)),
    row(names.map(() => "---")),
    row(names.map((name) => plain(answers[name]))),
    "",
  ]);
  const totals = names.map((name) => `- ${plain(name)}: ${right(name)} of ${questions.length} right`);
  return [`# Answers side by side`, "", ...totals, "", ...sections.flat()].join("\n");
}
