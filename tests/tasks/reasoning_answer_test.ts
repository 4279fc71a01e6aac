import { assert, assertEquals } from "@std/assert";
import { extractAnswer, isSameAnswer, normaliseAnswer } from "../../tasks/mod.ts";
import { answersReport } from "../../tasks/reasoning/report.ts";

Deno.test("the final answer is what follows the last marker on its line", () => {
  assertEquals(extractAnswer("7 * 5 = 35. The answer is: 35."), "35.");
  assertEquals(extractAnswer("The answer is: 1\nNo.\nThe answer is: x + 1 \nDone."), "x + 1");
  assertEquals(extractAnswer("The answer is:\n24"), "24");
  assertEquals(extractAnswer("The answer is: "), undefined);
  assertEquals(extractAnswer("It is 24.\n#### 24"), undefined);
});

Deno.test("answers that say the same are the same once normalised", () => {
  const same = [
    ["35", "35.", "$35", "\\$35", "35.00", "+35", "$35$", "\\boxed{35}", "\\boxed{\\$35}", " 35 ", "\\(35\\)", "70/2"],
    ["1234567", "1,234,567", "$1,234,567.00"],
    [
      "1/2",
      "0.5",
      ".5",
      "\\frac{1}{2}",
      "\\dfrac{2}{4}",
      "\\frac12",
      "\\boxed{\\tfrac{1}{2}}",
      "$\\frac{1}{2}$",
      "2 / 4",
    ],
    ["-3/4", "-0.75", "-\\frac{3}{4}", "\\frac{-3}{4}", "3/-4"],
    ["50", "50%", "50\\%"],
    ["90", "90^\\circ", "90^{\\circ}"],
    ["(1,2)", "(1, 2)", "\\left( 1, 2 \\right)"],
    ["(x+1)/2", "\\frac{x+1}{2}", "\\frac{x + 1}{2}"],
    ["east", "\\text{east}", "\\boxed{\\text{east}}."],
    ["9007199254740993", "9,007,199,254,740,993"],
    ["0", "-0", "0.0", "0/7"],
  ];
  for (const [canonical, ...others] of same) {
    for (const other of others) assertEquals(normaliseAnswer(other), normaliseAnswer(canonical), other);
  }
  const canonical = same.map(([each]) => normaliseAnswer(each));
  assertEquals(new Set(canonical).size, same.length);
});

Deno.test("answers that differ stay different, whatever they are", () => {
  const different = [
    "1,2",
    "12",
    "1.2",
    "1/0",
    "1/2/3",
    "2x",
    "x2",
    "",
    ".",
    "-",
    "35 dollars",
    "9007199254740992",
    "1 2/3",
  ];
  assertEquals(new Set(different.map(normaliseAnswer)).size, different.length - 1);
  assertEquals(normaliseAnswer("."), normaliseAnswer(""));
  assertEquals(normaliseAnswer("\\boxed{\\frac{1}"), "\\boxed{\\frac{1}");
  assert(isSameAnswer("The answer is: 35.", "So it is 35. The answer is: $35"));
  assert(!isSameAnswer("The answer is: 35", "The answer is: 36"));
  assert(!isSameAnswer("The answer is: 35", "35"));
  assert(!isSameAnswer("35", "35"));
});

Deno.test("the report shows question, truth and both answers as they are, side by side, and counts", () => {
  const report = answersReport([{
    query: "Price | tax?\nIn *dollars*.",
    truth: "It is \\boxed{\\$35}. The answer is: 35",
    answers: { "1lora": "<b>$35</b>\nThe answer is: 35", "lora-qkv": "The answer is: 36" },
  }, {
    query: "2?",
    truth: "The answer is: 2",
    answers: { "1lora": "", "lora-qkv": "none" },
  }]);
  assertEquals(
    report,
    [
      "# Answers side by side",
      "",
      "- 1lora: 1 of 2 right",
      "- lora\\-qkv: 0 of 2 right",
      "",
      "## Question 1",
      "",
      "| Question | Answer |",
      "| --- | --- |",
      "| Price \\| tax?<br>In \\*dollars\\*\\. | It is \\\\boxed\\{\\\\\\$35\\}\\. The answer is: 35 |",
      "",
      "| 1lora: right | lora\\-qkv: wrong |",
      "| --- | --- |",
      "| \\<b\\>\\$35\\</b\\><br>The answer is: 35 | The answer is: 36 |",
      "",
      "## Question 2",
      "",
      "| Question | Answer |",
      "| --- | --- |",
      "| 2? | The answer is: 2 |",
      "",
      "| 1lora: wrong | lora\\-qkv: wrong |",
      "| --- | --- |",
      "|  | none |",
      "",
    ].join("\n"),
  );
  assertEquals(answersReport([]), "# Answers side by side\n\n");
});

/** A pair of answers, and whether they come to the same by each of the published graders. */
interface GradedPair {
  readonly truth: string;
  readonly answer: string;
  readonly hendrycks: boolean;
  readonly minerva: boolean;
  readonly gsm8k: boolean;
}

/** Pairs that a published grader takes for the same and we do not, with the reason. */
const STRICTER: Readonly<Record<string, readonly string[]>> = {
  "a comma or space between digits that is none between thousands": ["12 ~ 1,2", "12 ~ 1 2"],
  "units that both have": ["5\\text{ cm} ~ 5\\text{ m}", "5 hours ~ 5 minutes"],
  "more than a number with words": ["2 ~ 2x", "6 ~ 6!", "10 ~ x \\ge 10", "18 ~ at least 18"],
  "an equation that is no name with its value": ["x+y=5 ~ 5"],
  "more than one number": ["18 ~ 18 to 20", "18 ~ 18 or 20", "5 ~ 5 feet 3 inches"],
};

/** Pairs that we alone take for the same, with the reason. */
const WIDER: Readonly<Record<string, readonly string[]>> = {
  "equal numbers": [
    "\\frac{1}{2} ~ \\frac{2}{4}",
    "\\frac{3}{4} ~ 0.75",
    "1\\frac{1}{2} ~ 1 1/2",
    "1\\frac{1}{2} ~ 3/2",
    "1.5 ~ 1\u00bd",
    "(0.5,3) ~ (\\frac{1}{2},3)",
    "300000 ~ 3 \\times 10^5",
    "1000 ~ 1\\,000",
  ],
  "names of one unit": ["5\\text{ cm}^2 ~ 5 square centimeters", "5 cm ~ 5 centimeters", "50\\% ~ 50 percent"],
  "signs for TeX": ["\\sqrt{2} ~ \u221a2", "(-1,2) ~ (\u22121, 2)", "(-\\infty,2] ~ (-\u221e, 2]", "\\pi ~ \u03c0"],
  "looks within looks": ["\\frac{\\sqrt{2}}{2} ~ \\frac{\\sqrt2}2", "\\boxed{\\text{east}} ~ east."],
};

Deno.test("answers come to the same as by the published graders, but for what is listed, either way round", async () => {
  const file = new URL("../fixtures/reasoning/answers.json", import.meta.url);
  const pairs: GradedPair[] = JSON.parse(await Deno.readTextFile(file));
  assert(pairs.length > 100);
  const [stricter, wider] = [STRICTER, WIDER].map((listed) => new Set(Object.values(listed).flat()));
  for (const { truth, answer, hendrycks, minerva, gsm8k } of pairs) {
    const name = `${truth} ~ ${answer}`;
    const graded = hendrycks || minerva || gsm8k;
    const expected = graded ? !stricter.delete(name) : wider.delete(name);
    const worked = (final: string) => `Some steps.\nThe answer is: ${final}`;
    assertEquals(isSameAnswer(worked(truth), worked(answer)), expected, name);
    assertEquals(isSameAnswer(worked(answer), worked(truth)), expected, `${name}, the other way round`);
  }
  // No exception is listed for nothing.
  assertEquals([...stricter, ...wider], []);
});

Deno.test("a number stands beside words, not within an expression; units that both have must agree", () => {
  const same = [
    ["18", "18 dollars for each of 3 days"],
    ["18", "There are 18 apples"],
    ["-18", "minus 18"],
    ["-18", "-$18"],
    ["5", "5cm"],
    ["5", "5-mile"],
    ["1/4", "1/4 cup"],
    ["1 1/2 cups", "1.5"],
    ["60 mph", "60 miles per hour"],
    ["1/2", "x = \\frac{1}{2}"],
    ["12", "\\approx 12"],
    ["5", "f(2) = 5"],
    ["7", "2 + 5 = 7"],
  ];
  const different = [
    ["5", "5x"],
    ["5", "5 x"],
    ["18", "18 + 2"],
    ["18", "less than 18"],
    ["18", "no more than 18"],
    ["5 dollars", "5 cents"],
    ["$5", "5 percent"],
    ["3", "x = 3 or x = 4"],
    ["3", "a + b = 3"],
    ["4", "x \\neq 4"],
    ["4", "x <= 4"],
  ];
  // A model may say anything, and at length.
  for (
    const long of ["a ".repeat(20000), "1,".repeat(20000), "{".repeat(20000), "\\frac".repeat(5000), "=".repeat(9999)]
  ) {
    different.push(["7", long]);
  }
  const judge = ([a, b]: string[]) => isSameAnswer(`The answer is: ${a}`, `The answer is: ${b}`);
  assertEquals(same.filter((pair) => !judge(pair)), []);
  assertEquals(different.filter(judge), []);
});
