import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { OneloraError } from "../../dsl/mod.ts";
import {
  alpacaPrompt,
  openReasoningData,
  type ReasoningExample,
  splitExamples,
  wordProblems,
} from "../../tasks/mod.ts";
import { reasoningDataForms } from "../../tasks/reasoning/open.ts";
import { withFolder } from "../support/data_folder.ts";

const folder = fileOf(new URL("../fixtures/reasoning", import.meta.url));
const json = async (name: string) => JSON.parse(await Deno.readTextFile(`${folder}/${name}`));

Deno.test("prompts equal Alpaca's byte for byte", async () => {
  const cases: { query: string; prompt: string }[] = await json("alpaca.json");
  assertEquals(cases.length, 4);
  for (const { query, prompt } of cases) assertEquals(alpacaPrompt(query), prompt);
});

for (const ending of ["json", "parquet"]) {
  Deno.test(`MetaMathQA's ${ending} is read as it is`, async () => {
    const rows: ReasoningExample[] = await json("metamath.json");
    const expected = rows.map(({ query, response, type }) => ({ query, response, type }));
    const { examples, skipped } = await openReasoningData(`metamath:${folder}/metamath.${ending}`, { strict: true });
    assertEquals(examples, expected);
    assertEquals(skipped, 0);
  });
}

for (const ending of ["jsonl", "parquet"]) {
  Deno.test(`GSM8K's ${ending} becomes responses like MetaMathQA's`, async () => {
    const { examples } = await openReasoningData(`gsm8k:${folder}/gsm8k.${ending}`, { strict: true });
    assertEquals(examples.length, 3);
    assertEquals(examples[0], {
      query: "Tom reads 12 pages a day for 5 days. How many pages does he read?",
      response: "Tom reads 12 * 5 = 60 pages.\n#### 60\nThe answer is: 60",
    });
    assert(examples[1].response.endsWith("\nThat is 300 + 480 = $780.\n#### 780\nThe answer is: 780"));
    assert(examples[2].response.endsWith("\n#### -900\nThe answer is: -900"));
  });
}

const good = JSON.stringify({ query: "q", response: "r" });

Deno.test("rows that lack something are left out, counted and named; strict fails at the first", async () => {
  const lines = [good, '{"query": "q"}', "", "no json", "[1]", '{"query": " ", "response": "r"}', good].join("\r\n");
  const array = `[${good}, 3, {"query": "q", "response": null}, ${good}]`;
  await withFolder({ "a.jsonl": lines, "b.json": array, "c.jsonl": '{"question":"q","answer":"5"}\n' }, async (at) => {
    const lost: string[] = [];
    const onSkip = (line: string) => void lost.push(line);
    const { examples, skipped } = await openReasoningData(`metamath:${at}/a.jsonl`, { onSkip });
    assertEquals([examples.length, skipped], [2, 4]);
    const allowed = 'rows with "query" and "response"';
    assertEquals(lost, [
      `reading line 2 of ${at}/a.jsonl: found no text in "response"; allowed: ${allowed}`,
      `reading line 4 of ${at}/a.jsonl: found "no json"; allowed: ${allowed}`,
      `reading line 5 of ${at}/a.jsonl: found no text in "query"; allowed: ${allowed}`,
      `reading line 6 of ${at}/a.jsonl: found no text in "query"; allowed: ${allowed}`,
    ]);
    lost.length = 0;
    assertEquals((await openReasoningData(`metamath:${at}/b.json`, { onSkip })).skipped, 2);
    assertStringIncludes(lost[0], "reading element 1 of");
    assertStringIncludes(lost[0], "no object");
    const strict = openReasoningData(`metamath:${at}/a.jsonl`, { strict: true });
    assertStringIncludes((await assertRejects(() => strict, OneloraError)).message, "line 2");
    const none = await assertRejects(() => openReasoningData(`gsm8k:${at}/c.jsonl`), OneloraError);
    assertStringIncludes(none.message, '"#### N"');
  });
});

Deno.test("lines in a .json and an array in a .jsonl are read as what they are, a byte order mark or not", async () => {
  const array = `[${good},\n ${good}]`;
  const files = {
    "lines.json": `${good}\n${good}\n`,
    "spaced.json": `\n\n${good}\r\n\r\n${good}`,
    "marked.json": `\uFEFF${good}\n${good}\n`,
    "array.jsonl": array,
    "one.jsonl": `[${good},${good}]\n`,
    "marked.jsonl": `\uFEFF${array}`,
    "marked-array.json": `\uFEFF${array}`,
    "plain.jsonl": `${good}\n${good}`,
    // Lines, of which the first is no row.
    "first.jsonl": `[1]\n${good}\n${good}`,
  };
  await withFolder(files, async (at) => {
    for (const name of Object.keys(files)) {
      const { examples, skipped } = await openReasoningData(`metamath:${at}/${name}`);
      assertEquals([examples.length, skipped], [2, name === "first.jsonl" ? 1 : 0], name);
    }
  });
});

Deno.test("bytes that are no UTF-8 are refused, not read as other characters; NaN is a number as in Python", async () => {
  const line = '{"query":"q","response":"caf\u00e9","score":NaN}\n';
  const latin = Uint8Array.from(line, (each) => each.charCodeAt(0));
  const array = Uint8Array.from('[{"query":"q","response":"caf\u00e9"}]', (each) => each.charCodeAt(0));
  const utf16 = new Uint8Array(Uint16Array.from(`\uFEFF${line}`, (each) => each.charCodeAt(0)).buffer);
  const files = { "latin.jsonl": latin, "latin.json": array, "utf16.jsonl": utf16, "nan.jsonl": line };
  await withFolder(files, async (directory) => {
    for (const name of ["latin.jsonl", "latin.json", "utf16.jsonl"]) {
      const opened = () => openReasoningData(`metamath:${directory}/${name}`);
      await assertRejects(opened, OneloraError, `${name}: found bytes that are no UTF-8`);
    }
    const { examples } = await openReasoningData(`metamath:${directory}/nan.jsonl`, { strict: true });
    assertEquals(examples.map(({ response }) => response), ["caf\u00e9"]);
  });
});

Deno.test("files that are no such thing fail in one line", async () => {
  const files = {
    "cut.json": `[${good}, {"query": "q`,
    "bad.json": `[${good}, oops]`,
    "object.json": good,
    "empty.jsonl": "\n",
    "text.parquet": "PAR1 but not really PAR1",
    "short.parquet": "PAR1",
  };
  await withFolder(files, async (at) => {
    for (const name of [...Object.keys(files), "missing.json", "missing.parquet"]) {
      const error = await assertRejects(() => openReasoningData(`metamath:${at}/${name}`), OneloraError);
      assertStringIncludes(error.message, name);
      assertEquals(error.message.includes("\n"), false);
      assertEquals(error.exitCode, 1);
    }
  });
  const columns = await assertRejects(() => openReasoningData(`metamath:${folder}/gsm8k.parquet`), OneloraError);
  assertStringIncludes(columns.message, 'no text in "query"');
});

Deno.test("what is no known specification is refused with what is", async () => {
  for (const spec of ["metamat:x.json", "metamath", "metamath:", "word-problems-a:x", "metamath:x.txt", "", ":"]) {
    const error = await assertRejects(() => openReasoningData(spec), OneloraError);
    assertEquals(error.exitCode, 2);
  }
  const error = await assertRejects(() => openReasoningData("word-problem-b"), OneloraError);
  assertStringIncludes(error.message, 'did you mean "word-problems-b"');
  assertEquals(reasoningDataForms, ["word-problems-a", "word-problems-b", "metamath:FILE", "gsm8k:FILE"]);
});

Deno.test("a large array is read in pieces, every element once", async () => {
  const rows = Array.from(
    { length: 20_000 },
    (_, i) => ({ query: `q${i} "}],[{\\`, response: "é😀".repeat(i % 7) + i }),
  );
  await withFolder({ "large.json": JSON.stringify(rows) }, async (at) => {
    assertEquals((await openReasoningData(`metamath:${at}/large.json`, { strict: true })).examples, rows);
  });
  await withFolder({ "large.jsonl": rows.map((row) => JSON.stringify(row)).join("\n") }, async (at) => {
    assertEquals((await openReasoningData(`metamath:${at}/large.jsonl`, { strict: true })).examples, rows);
  });
});

Deno.test("the split has every example once, in shares of 80 and 20, by seed and not by order", () => {
  const examples = wordProblems("a", 1000, 3);
  const { train, validation } = splitExamples(examples, 5);
  assertEquals([train.length, validation.length], [800, 200]);
  const queries = (parts: readonly ReasoningExample[]) => parts.map(({ query }) => query).toSorted();
  assertEquals(queries([...train, ...validation]), queries(examples));
  assertEquals(splitExamples(examples.toReversed(), 5), { train, validation });
  // Another seed's validation part shares about 20% with this one.
  const kept = new Set(queries(splitExamples(examples, 6).validation));
  const shared = queries(validation).filter((query) => kept.has(query)).length;
  assert(shared > 15 && shared < 70, `${shared} shared`);
  assertEquals(splitExamples(examples, 5, 1).validation, []);
  assertThrows(() => splitExamples(examples, 5, 1.1), OneloraError, "0 to 1");
});

Deno.test("built-in problems are right, different, seeded, and of two kinds", async () => {
  for (const [family, kinds] of [["a", 9], ["b", 5]] as const) {
    const problems = wordProblems(family, 3000, 1);
    assertEquals(new Set(problems.map(({ query }) => query)).size, 3000);
    assertEquals(new Set(problems.map(({ type }) => type)).size, kinds);
    assertEquals(wordProblems(family, 100, 1), problems.slice(0, 100));
    assert(wordProblems(family, 1, 2)[0].query !== problems[0].query);
    for (const { response } of problems) {
      const steps = [...response.matchAll(/(\d+) ([-+*/]) (\d+) = (\d+)/g)];
      for (const [, left, sign, right, result] of steps) {
        const [a, b] = [Number(left), Number(right)];
        assert(Number(result) > 0 && Number(result) <= 90);
        assertEquals(Number(result), { "+": a + b, "-": a - b, "*": a * b, "/": a / b }[sign]);
      }
      const [, final] = /\. The answer is: (\d+)$/.exec(response)!;
      assertEquals(final, steps.at(-1)![4]);
    }
  }
  const a = new Set(wordProblems("a", 3000, 1).map(({ query }) => query));
  assert(wordProblems("b", 3000, 1).every(({ query }) => !a.has(query)));
  const { examples } = await openReasoningData("word-problems-b", { count: 7, seed: 9 });
  assertEquals(examples, wordProblems("b", 7, 9));
  assertThrows(() => wordProblems("a", 0, 0), OneloraError, "positive");
});
