/**
 * What a model answers, for people to read.
 *
 * @module
 */

/** Text as a block of Markdown that shows it as it is. */
function block(text: string): string {
  const fence = "`".repeat(Math.max(3, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length + 1)));
  return `${fence}text\n${text}\n${fence}`;
}

/**
 * A Markdown page of prompts, the true answers and the model's.
 *
 * @param name What answered
 * @param answers What was asked and answered
 */
export function answersPage(
  name: string,
  answers: readonly { readonly query: string; readonly truth: string; readonly response: string }[],
): string {
  const sections = answers.map(({ query, truth, response }, i) =>
    `## ${i + 1}\n\n${block(query)}\n\nTrue answer\n\n${block(truth)}\n\n${name}\n\n${block(response)}\n`
  );
  return `# Answers\n\n${sections.join("\n")}`;
}
