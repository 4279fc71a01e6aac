import { assert, assertEquals } from "@std/assert";
import { answersReport, extractAnswer, isSameAnswer, normaliseAnswer } from "../../tasks/mod.ts";

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
