import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { OneloraError } from "../../dsl/mod.ts";
import { openTokenizer } from "../../models/mod.ts";
import {
  alpacaPrompt,
  characterTokenizer,
  encodeExample,
  encodeExamples,
  padExamples,
  type Position,
  type ReasoningBatch,
  reasoningBatches,
  type ReasoningBatchOptions,
  wordProblems,
  wordProblemTokenizer,
} from "../../tasks/mod.ts";
import { frequentWords } from "../../tasks/reasoning/characters.ts";
import { IGNORED_LABEL, microBatches, rowsOfBatch } from "../../tasks/reasoning/encode.ts";
import { withFolder } from "../support/data_folder.ts";

const fixtures = fileOf(new URL("../fixtures", import.meta.url));

interface TokenCase {
  readonly tokenizer: string;
  readonly query: string;
  readonly response: string;
  readonly maxLength: number;
  readonly ids: readonly number[];
  readonly labels: readonly number[];
}

Deno.test("ids and labels equal those of Alpaca's code with transformers' tokenizers, cut or not", async () => {
  const cases: TokenCase[] = JSON.parse(await Deno.readTextFile(`${fixtures}/reasoning/tokens.json`));
  assertEquals(cases.length, 16);
  for (const { tokenizer: name, query, response, maxLength, ids, labels } of cases) {
    const tokenizer = await openTokenizer(`${fixtures}/${name}`);
    const encoded = encodeExample(tokenizer, { query, response }, maxLength);
    assert(encoded !== undefined);
    assertEquals([...encoded.ids], ids);
    assertEquals([...padExamples([encoded], 1).labels], labels);
  }
});

Deno.test("one token ends an example, and every token of the response counts, whatever the tokenizer adds by itself", async () => {
  const plain = characterTokenizer();
  const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const sequence = { Sequence: { id: "A", type_id: 0 } };
  const token = (id: string, at: number) => ({ id, ids: [at], tokens: [id] });
  const frames = {
    "begin and end": [special("<s>"), sequence, special("</s>")],
    "end alone": [sequence, special("</s>")],
    "two ends": [special("<s>"), sequence, special("</s>"), special("</s>")],
    "begin alone": [special("<s>"), sequence],
    nothing: [sequence],
  };
  const question = { query: "What is 6 times 7?", response: "42\nThe answer is: 42" };
  for (const [name, single] of Object.entries(frames)) {
    const post_processor = {
      type: "TemplateProcessing",
      single,
      pair: [...single, { Sequence: { id: "B", type_id: 1 } }],
      special_tokens: { "<s>": token("<s>", 1), "</s>": token("</s>", 2) },
    };
    const files = {
      "tokenizer.json": JSON.stringify({ ...plain.files["tokenizer.json"], post_processor }),
      "tokenizer_config.json": JSON.stringify(plain.files["tokenizer_config.json"]),
    };
    await withFolder(files, async (at) => {
      const tokenizer = await openTokenizer(at);
      const { ids, start } = encodeExample(tokenizer, question)!;
      assertEquals([...ids.subarray(start)], [...plain.encode(question.response, { special: false }), 2], name);
      assertEquals(ids[0] === 1, name !== "end alone" && name !== "nothing", name);
      const spelt = encodeExample(tokenizer, { ...question, response: `${question.response}</s>` })!;
      assertEquals([...spelt.ids], [...ids], name);
    });
  }
});

Deno.test("a prompt that fills the length alone is left out and counted", () => {
  const tokenizer = characterTokenizer();
  const examples = [{ query: "12345", response: "6" }, { query: "1", response: "2345" }];
  const prompt = tokenizer.encode(alpacaPrompt("12345")).length;
  const { encoded, tooLong } = encodeExamples(tokenizer, examples, prompt);
  assertEquals([encoded.length, tooLong], [1, 1]);
  assertEquals(encoded[0].ids.length, prompt);
  assertEquals(encodeExample(tokenizer, examples[0], prompt + 1)?.ids.length, prompt + 1);
  assertThrows(() => encodeExamples(tokenizer, examples, 2), OneloraError, "2 prompts of 2 tokens or more");
  assertThrows(() => encodeExamples(tokenizer, []), OneloraError, "found none");
  assertThrows(() => encodeExamples({ ...tokenizer, end: undefined }, examples), OneloraError, "end token");
});

const example = (length: number, start = 1) => ({ ids: Int32Array.from({ length }, (_, i) => 10 + i), start });

Deno.test("padding is on the right and never counts", () => {
  const batch = padExamples([example(3), example(5, 4)], 4);
  assertEquals(batch.shape, [2, 8]);
  assertEquals([...batch.ids], [10, 11, 12, 0, 0, 0, 0, 0, 10, 11, 12, 13, 14, 0, 0, 0]);
  const no = IGNORED_LABEL;
  assertEquals([...batch.labels], [no, 11, 12, no, no, no, no, no, no, no, no, no, 14, no, no, no]);
  assertEquals([batch.counted, batch.weight], [3, 1]);
});

const lengths = Array.from({ length: 103 }, (_, i) => 2 + (i * 37) % 91);
const options: ReasoningBatchOptions = { examples: lengths.map((n) => example(n)), batchSize: 8, seed: 3, multiple: 1 };

function run(changes: Partial<ReasoningBatchOptions> = {}): ReasoningBatch[] {
  return [...reasoningBatches({ ...options, ...changes })];
}

Deno.test("an epoch has every example once, in batches of similar length, differently each epoch and seed", () => {
  const batches = run({ epochs: 2 });
  const [first, second] = [batches.slice(0, 13), batches.slice(13)];
  const order = (part: ReasoningBatch[]) => part.flatMap(({ indices }) => [...indices]);
  for (const epoch of [first, second]) {
    assertEquals(order(epoch).toSorted((a, b) => a - b), lengths.map((_, i) => i));
    assertEquals(epoch.map(({ indices }) => indices.length), [...Array(12).fill(8), 7]);
  }
  assert(`${order(first)}` !== `${order(second)}`);
  assert(`${order(first)}` !== `${order(run({ seed: 4 }))}`);
  assertEquals(run({ epochs: 2 }), batches);
  const area = (part: ReasoningBatch[]) => part.reduce((sum, { shape: [rows, length] }) => sum + rows * length, 0);
  const real = lengths.reduce((sum, length) => sum + length, 0);
  assert(area(first) < 1.1 * real, "padding with buckets");
  assert(area(run({ pool: 1 })) > 1.5 * real, "padding without");
  // Long and short batches alternate: they are not in order of length.
  const longest = first.slice(0, 12).map(({ shape }) => shape[1]);
  assert(`${longest}` !== `${longest.toSorted((a, b) => a - b)}`);
  for (const { ids, labels, indices, shape: [, length] } of first) {
    indices.forEach((index, row) => {
      const { ids: own } = options.examples[index];
      assertEquals([...ids.subarray(row * length, row * length + own.length)], [...own]);
      assertEquals([...labels.subarray(row * length + 1, row * length + own.length)], [...own.subarray(1)]);
    });
  }
});

Deno.test("a run that starts at a batch's next goes on exactly", () => {
  const batches = run({ epochs: 2 });
  for (const at of [0, 5, 12, 13]) {
    const start: Position = batches[at].next;
    assertEquals(run({ epochs: 2, start }), batches.slice(at + 1));
  }
  assertEquals(batches.at(-1)!.next, { epoch: 2, offset: 0 });
});

Deno.test("values out of range are refused when batching", () => {
  for (
    const wrong of [
      { examples: [] },
      { batchSize: 0 },
      { pool: 1.5 },
      { multiple: 0 },
      { start: { epoch: 0, offset: 3 } },
      { start: { epoch: 0, offset: 104 } },
      { start: { epoch: -1, offset: 0 } },
    ]
  ) {
    const error = assertThrows(() => run(wrong), OneloraError);
    assertEquals(error.exitCode, 2);
  }
});

Deno.test("pieces of a batch have its rows, no padding beyond their own, and weights that sum to one", () => {
  const batch = padExamples([example(9, 3), example(4), example(30, 7), example(12, 11), example(5)], 8);
  const pieces = microBatches(batch, 2);
  assertEquals(pieces.map(({ shape }) => shape), [[2, 16], [2, 32], [1, 8]]);
  assertEquals(pieces.map(({ counted }) => counted), [9, 24, 4]);
  assertEquals(pieces.map(({ weight }) => weight * batch.counted), [9, 24, 4]);
  assertEquals([...pieces[2].ids], [10, 11, 12, 13, 14, 0, 0, 0]);
  assertEquals(microBatches(batch, 5), [batch]);
  assertThrows(() => microBatches(batch, 0), OneloraError, "positive");
});

Deno.test("the character tokenizer's files give the same tokens in Hugging Face's library", async () => {
  const tokenizer = wordProblemTokenizer();
  assert(tokenizer.vocabulary <= 512);
  const files = Object.fromEntries(
    Object.entries(tokenizer.files).map(([name, content]) => [name, JSON.stringify(content)]),
  );
  await withFolder(files, async (at) => {
    const published = await openTokenizer(at);
    assertEquals([published.begin, published.end], [tokenizer.begin, tokenizer.end]);
    const problems = [...wordProblems("a", 30, 5), ...wordProblems("b", 30, 5)];
    const texts = problems.map(({ query, response }) => alpacaPrompt(query) + response);
    for (const text of [...texts, "", " ", "a</s>b<s>", "tabs\t é 😀\n\n", " The answer is: has has", "<unk>"]) {
      for (const special of [true, false]) {
        const ids = tokenizer.encode(text, { special });
        assertEquals(published.encode(text, { special }), ids, text);
        assertEquals(published.decode(ids, { special }), tokenizer.decode(ids, { special }), text);
      }
    }
    for (const text of texts) assertEquals(tokenizer.decode(tokenizer.encode(text)), text);
  });
});

Deno.test("frequent words have their space where there is one, most frequent first", () => {
  assertEquals(frequentWords(["a cat saw a cat", " b 12 cat", "saw"], 5), [" cat", " a", " b", " saw", "saw"]);
  assertEquals(wordProblemTokenizer().encode("Anna has 12 eggs.", { special: false }).length, 5);
});

Deno.test("rows of a batch weigh what they predict, and all of them what the batch does", () => {
  const example = (length: number, start: number) => ({ ids: Int32Array.from({ length }, (_, i) => i + 1), start });
  const batch = { ...padExamples([example(5, 2), example(7, 1), example(4, 3)]), weight: 0.5 };
  const parts = [[0, 1], [1, 3]].map(([begin, end]) => rowsOfBatch(batch, [begin, end]));
  assertEquals(batch.counted, 10);
  assertEquals(parts.map(({ counted, shape }) => [counted, ...shape]), [[3, 1, 8], [7, 2, 8]]);
  parts.forEach(({ weight }, i) => assertAlmostEquals(weight, [0.15, 0.35][i], 1e-12));
  assertEquals(parts.flatMap(({ ids }) => [...ids]), [...batch.ids]);
});
