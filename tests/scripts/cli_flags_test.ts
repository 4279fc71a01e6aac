import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromEither, left, right } from "fp-ts/TaskEither";
import { tryCatch } from "fp-ts/Either";
import { duration } from "../../tasks/trainer/setting.ts";
import { kebab, readValue } from "../../scripts/cli/flags.ts";
import { nearest, OneloraError } from "../../dsl/error.ts";
import { flagMeant } from "../../scripts/cli/elsewhere.ts";
import { trainFlags } from "../../scripts/cli/options.ts";
import {
  boolean,
  type Border,
  choice,
  type Command,
  helpText,
  integer,
  number,
  type Options,
  required,
  run,
  text,
  toConfig,
} from "../../scripts/cli/mod.ts";

const flags = {
  model: text({ help: "Pretrained model", value: "NAME|DIR", default: "vit-micro" }),
  out: text({ help: "Folder of results", value: "DIR" }),
  rank: integer({ help: "Rank of the adapter", min: 1, max: 512, default: 1 }),
  steps: integer({ help: "Steps" }),
  lr: number({ help: "Learning rate", above: 0, default: 1e-3 }),
  shift: number({ help: "Shift", min: -2, below: 2, default: 0 }),
  batchSize: integer({ help: "Images per step", min: 1, default: 64 }),
  shuffle: boolean({ help: "Shuffle every epoch", default: true }),
  json: boolean({ help: "Print JSON" }),
  backend: choice({ help: "Engine", allowed: ["auto", "wasm", "cpu"], default: "auto" }),
};
const command = { name: "train", summary: "Fine-tune a model.", flags };
const defaults: Options<typeof flags> = {
  model: "vit-micro",
  out: undefined,
  rank: 1,
  steps: undefined,
  lr: 1e-3,
  shift: 0,
  batchSize: 64,
  shuffle: true,
  json: false,
  backend: "auto",
};

/** What a command line comes to: its exit code, its lines, and the options its body was given. */
async function outcome(args: readonly string[], of: Command<typeof flags> = command) {
  const out: string[] = [];
  const err: string[] = [];
  let options: Options<typeof flags> | undefined;
  let given: readonly string[] = [];
  const border: Border = { args, out: (line) => out.push(line), err: (line) => err.push(line), debug: false };
  const code = await run(of, (parsed) => {
    options = parsed.options;
    given = [...parsed.given];
    return right(undefined);
  }, border);
  return { code, out, err, options, given };
}

/** The one line of a refused command line. */
async function refusal(...args: readonly string[]): Promise<string> {
  const { code, out, err, options } = await outcome(args);
  assertEquals({ code, out, lines: err.length, options }, { code: 2, out: [], lines: 1, options: undefined });
  return err[0];
}

/** A file with a content, gone after use. */
async function withFile<T>(suffix: string, content: string, use: (path: string) => Promise<T>): Promise<T> {
  const path = await Deno.makeTempFile({ suffix });
  try {
    await Deno.writeTextFile(path, content);
    return await use(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("flags that are not given have their defaults", async () => {
  assertEquals((await outcome([])).options, defaults);
});

Deno.test("values are given with and without an equals sign, negative ones too", async () => {
  const { options, given } = await outcome(["--rank", "4", "--lr=2e-2", "--shift", "-1.5", "--batch-size", "8"]);
  assertEquals(options, { ...defaults, rank: 4, lr: 0.02, shift: -1.5, batchSize: 8 });
  assertEquals(given, ["rank", "lr", "shift", "batchSize"]);
});

Deno.test("dashes before the first flag are passed over", async () => {
  assertEquals((await outcome(["--", "--rank", "4"])).options, { ...defaults, rank: 4 });
});

for (
  const [args, shuffle, json] of [
    [["--no-shuffle"], false, false],
    [["--shuffle", "false", "--json"], false, true],
    [["--shuffle=false", "--json=true"], false, true],
    [["--shuffle", "--json", "true"], true, true],
    [["--shuffle", "true", "--no-json"], true, false],
  ] as const
) {
  Deno.test(`${args.join(" ")} reads as shuffle ${shuffle} and json ${json}`, async () => {
    assertEquals((await outcome(args)).options, { ...defaults, shuffle, json });
  });
}

for (
  const [args, line] of [
    [["--rnk", "2"], `error: choosing flag: found "--rnk" (did you mean "--rank"?); allowed: --model, --out, --rank, `],
    [["--size", "2"], `error: choosing flag: found "--size" (did you mean "--batch-size"?)`],
    [["--rnk=2"], `found "--rnk" (did you mean "--rank"?)`],
    [["-r", "2"], `error: choosing flag: found "-r"`],
    [["--no-rank"], `found "--no-rank"`],
    [["--backend", "wsm"], `error: choosing --backend: found "wsm" (did you mean "wasm"?); allowed: auto, wasm, cpu`],
    [["--rank", "0"], `error: reading --rank: found "0"; allowed: an integer at least 1 and at most 512`],
    [["--rank", "513"], `reading --rank: found "513"`],
    [["--rank", "-1"], `reading --rank: found "-1"`],
    [["--rank", "1.5"], `reading --rank: found "1.5"`],
    [["--rank", "0x10"], `reading --rank: found "0x10"`],
    [["--steps", "1e300"], `error: reading --steps: found "1e300"; allowed: an integer`],
    [["--lr", "0"], `error: reading --lr: found "0"; allowed: a number above 0`],
    [["--lr", "NaN"], `reading --lr: found "NaN"`],
    [["--lr", "1e999"], `reading --lr: found "1e999"`],
    [["--lr", "Infinity"], `reading --lr: found "Infinity"`],
    [["--shift", "2"], `error: reading --shift: found "2"; allowed: a number at least -2 and below 2`],
    [["--shuffle", "maybe"], `error: reading --shuffle: found "maybe"; allowed: true, false`],
    [["--rank", "1", "--rank=1"], "error: reading --rank: found 2 values; allowed: each flag once"],
    [["--shuffle", "--no-shuffle"], "error: reading --shuffle: found 2 values; allowed: each flag once"],
    [["--rank"], "error: reading --rank: found no value; allowed: an integer"],
    [["--rank", "--json"], "error: reading --rank: found no value"],
    [["--out="], "error: reading --out: found no value"],
    [["--backend"], "error: reading --backend: found no value; allowed: auto, wasm, cpu"],
    [["--config"], "error: reading --config: found no value; allowed: a JSON or YAML file"],
    [["--json", "true", "extra"], `error: reading the command line: found "extra" without a flag`],
    [["--json", "--", "--rank"], `error: reading the command line: found "--rank" without a flag`],
  ] as const
) {
  Deno.test(`${args.join(" ")} is refused`, async () => {
    assertStringIncludes(await refusal(...args), line);
  });
}

Deno.test("a flag that must be given is asked for", async () => {
  const strict = { ...command, flags: { ...flags, out: required(flags.out) } };
  assertEquals((await outcome([], strict)).err, [
    "error: reading the command line: found no --out; allowed: --out DIR",
  ]);
  assertEquals((await outcome(["--out", "x"], strict)).options, { ...defaults, out: "x" });
});

Deno.test("a configuration file names flags as the command line does, and flags win", async () => {
  const yaml = "rank: 4\nlr: 1e-2 # quick\nbatch-size: 8\nshuffle: false\nmodel: 'a: b'\nout: null\n";
  await withFile(".yaml", yaml, async (path) => {
    const { options, given } = await outcome(["--config", path, "--rank", "2"]);
    assertEquals(options, { ...defaults, rank: 2, lr: 0.01, batchSize: 8, shuffle: false, model: "a: b" });
    assertEquals(given, ["model", "rank", "lr", "batchSize", "shuffle"]);
  });
  await withFile(".yml", "", async (path) => assertEquals((await outcome(["--config", path])).options, defaults));
});

Deno.test("options written as a configuration read back as themselves", async () => {
  const { options } = await outcome(["--rank", "3", "--no-shuffle", "--lr", "0.1", "--out", "runs/x"]);
  await withFile(".json", JSON.stringify(toConfig(options ?? {} as never)), async (path) => {
    assertEquals((await outcome([`--config=${path}`])).options, options);
  });
});

for (
  const [suffix, content, line] of [
    [".json", `{"rnk": 1}`, /choosing name in .*: found "rnk" \(did you mean "rank"\?\); allowed: model, out, rank/],
    [".json", `{"rank": "one"}`, /reading rank in .*: found "one"; allowed: an integer/],
    [".json", `{"rank": [1]}`, /reading .*: found a nested "rank"; allowed: a single value/],
    [".json", `[1]`, /reading .*: found a list; allowed: names and values/],
    [".json", `3`, /reading .*: found a number; allowed: names and values/],
    [".json", `{"rank":`, /reading .*: found .*; allowed: a readable JSON or YAML file/],
    [".json", `{"rank": 1, "rank": 2}`, /reading .*: found .*unique.*; allowed: a readable JSON or YAML file/],
    [".yaml", "a: [", /reading .*: found .*; allowed: a readable JSON or YAML file/],
    [".yaml", "rank: 1\nrank: 2", /reading .*: found .*unique.*; allowed: a readable JSON or YAML file/],
  ] as const
) {
  Deno.test(`a configuration ${JSON.stringify(content)} is refused`, async () => {
    await withFile(suffix, content, async (path) => assertMatch(await refusal("--config", path), line));
  });
}

Deno.test("a configuration file that is not there is refused", async () => {
  assertMatch(
    await refusal("--config", "no/such.json"),
    /^error: reading no\/such\.json: found no such file or directory; allowed/,
  );
});

Deno.test("help lists every flag with its values and its default", async () => {
  const { code, out, err, options } = await outcome(["--rank", "nonsense", "--help"]);
  assertEquals({ code, out, err, options }, { code: 0, out: [helpText(command)], err: [], options: undefined });
  assertEquals((await outcome(["-h"])).out, out);
  const lines = out[0].split("\n");
  assertEquals(lines.slice(0, 3), ["Fine-tune a model.", "", "Usage: deno task train [--flag value ...]"]);
  for (const line of lines) assertEquals(line.length <= 112, true, line);
  assertMatch(out[0], /^ {2}--rank N +Rank of the adapter \(an integer at least 1 and at most 512; default 1\)$/m);
  assertMatch(out[0], /^ {2}--\[no-\]shuffle +Shuffle every epoch \(default true\)$/m);
  assertMatch(out[0], /^ {2}--backend NAME +Engine \(auto, wasm, cpu; default auto\)$/m);
  assertMatch(out[0], /^ {2}--steps N +Steps \(an integer\)$/m);
});

Deno.test("failures are one line and an exit code", async () => {
  const err: string[] = [];
  const border: Border = { args: [], out: () => {}, err: (line) => err.push(line), debug: false };
  const failure = new OneloraError({ attempted: "reading x", found: "a\n  b", allowed: "c" });
  assertEquals(await run(command, () => left(failure), border), 1);
  const misuse = new OneloraError({ attempted: "choosing y", found: "z", allowed: "c" }, { exitCode: 2 });
  assertEquals(
    await run(command, () =>
      fromEither(tryCatch(() => {
        throw misuse;
      }, () => misuse)), border),
    2,
  );
  assertEquals(await run(command, () => () => Promise.reject(new TypeError("bad\nthing")), border), 1);
  assertEquals(
    await run(command, () => () => Promise.reject("text"), border),
    1,
  );
  assertEquals(err, [
    "error: reading x: found a b; allowed: c",
    "error: choosing y: found z; allowed: c",
    "error: unexpected TypeError: bad thing",
    "error: unexpected failure: text",
  ]);
});

Deno.test("stacks are shown where they are asked for", async () => {
  const err: string[] = [];
  const border: Border = { args: [], out: () => {}, err: (line) => err.push(line), debug: true };
  const failure = new TypeError("bad", { cause: new RangeError("worse") });
  assertEquals(await run(command, () => () => Promise.reject(failure), border), 1);
  assertEquals(err[0], "error: unexpected TypeError: bad");
  assertMatch(err[1], /^TypeError: bad\n +at /);
  assertMatch(err[2], /^caused by RangeError: worse\n +at /);
});

Deno.test("a time has its unit, or is in seconds", () => {
  const limit = duration({ help: "Limit", above: 0 });
  const read = (raw: string) => {
    const value = readValue(limit, raw, "--limit");
    return value._tag === "Right" ? value.right : value.left.message;
  };
  assertEquals(["24h", "90m", "30s", "45", "1.5h"].map(read), [86_400, 5400, 30, 45, 5400]);
  for (const wrong of ["0", "-1h", "h", "", "1d", "1h30m", "1 h\n"]) {
    assertStringIncludes(read(wrong) as string, "allowed: a time such as 24h, 90m, 30s or seconds above 0");
  }
});

Deno.test("names of transformers and PEFT lead to ours", () => {
  const names = Object.keys(trainFlags).map(kebab);
  const pairs = { "learning-rate": "lr", "r": "rank", "lora_alpha": "alpha", "num_train_epochs": "epochs", "lr": "lr" };
  for (const [theirs, ours] of Object.entries(pairs)) assertEquals(flagMeant(theirs, names), ours);
  assertEquals(flagMeant("lora-alpha", ["out"]), undefined);
  assertEquals(flagMeant("constructor", names), undefined);
});

Deno.test("what is near a name: a slip, or a part of one alone", () => {
  assertEquals(nearest("1lroa", ["1lora", "lora"]), "1lora");
  assertEquals(nearest("classification", ["image-classification", "depth"]), "image-classification");
  assertEquals(nearest("depth", ["depth-anything-small", "depth-anything-base"]), undefined);
  assertEquals(nearest("99", ["A", "B"]), undefined);
});

Deno.test("what a system says of a file is said without its number and call", () => {
  const found = (words: string) =>
    new OneloraError({ attempted: "reading a/b", found: words, allowed: "c" }).problem.found;
  const raw = "No such file or directory (os error 2)";
  assertEquals(found(`NotFound, ${raw}: stat 'a/b'`), "no such file or directory");
  assertEquals(found(`${raw}: open 'a/c'`), "no such file or directory: a/c");
  assertEquals(found("NotFound, The system cannot find the path specified. (os error 3)"), "no such file or directory");
  assertEquals(found("No space left on device (os error 28)"), "no space left on device");
  assertEquals(found("NotFound, a file (of two)"), "NotFound, a file (of two)");
});
