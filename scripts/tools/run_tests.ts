/**
 * `deno task test`: the test suite, with the permissions of `deno test -P`; the last line is `N passed, N failed`.
 * Further arguments go to `deno test`. This file is not named test.ts because deno would take it for a test.
 *
 * @module
 */

import manifest from "../../deno.json" with { type: "json" };
import { denoCommand } from "../cli/deno.ts";

const encoder = new TextEncoder();

/** Writes all of a text, in as many parts as standard output takes. */
async function print(text: string): Promise<void> {
  const bytes = encoder.encode(text);
  for (let sent = 0; sent < bytes.length;) sent += await Deno.stdout.write(bytes.subarray(sent));
}

/** Reads a child's output, shown as it comes where `show` says so. */
async function read(output: ReadableStream<Uint8Array>, show: boolean): Promise<string> {
  let all = "";
  for await (const text of output.pipeThrough(new TextDecoderStream())) {
    all += text;
    if (show) await print(text);
  }
  return all;
}

/** The counts of deno's closing line, `ok | 12 passed (3 steps) | 0 failed (2s)`. */
function tally(output: string): { readonly passed: number; readonly failed: number } | undefined {
  // deno-lint-ignore no-control-regex -- colours are control characters
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  const found = [...plain.matchAll(/^(?:ok|FAILED) \| (\d+) passed.*? \| (\d+) failed/gm)].at(-1);
  return found && { passed: Number(found[1]), failed: Number(found[2]) };
}

/**
 * Tests that get processes of their own: a software driver of webgpu may bring an LLVM whose symbols TensorFlow's compiler
 * then takes for its own, and crashes, as it computes or as the process leaves.
 */
const APART: readonly (readonly string[])[] = [
  ["tests/dsl/engine_backends_test.ts"],
  ["tests/dsl/engine_webgpu_test.ts", "tests/dsl/webgpu_test.ts"],
];

// Tests fetch packages that only some need, which have a lock file of their own.
const locked = ["--unstable-npm-lazy-caching", "--lock=on_demand.lock", "--frozen"];

interface Result {
  readonly code: number;
  readonly passed: number;
  readonly failed: number;
}

/** Runs `deno test` with these arguments; its output is shown as it comes, or whole at the end. */
async function run(args: readonly string[], live = true): Promise<Result> {
  const deno = await denoCommand();
  const starts = [deno, ...manifest.permissions.test.run.filter((each) => each !== "deno")];
  const child = new Deno.Command(deno, {
    args: ["test", "-P", `--allow-run=${starts.join(",")}`, ...locked, ...args],
    stdout: "piped",
    stderr: live ? "inherit" : "piped",
    ...(Deno.stdout.isTerminal() ? { env: { FORCE_COLOR: "1" } } : {}),
  }).spawn();
  const errors = live ? Promise.resolve("") : read(child.stderr, false);
  const [output, { code }] = await Promise.all([read(child.stdout, live), child.status]);
  if (!live) await print(output + await errors);
  // One whose tests passed may still end badly, as it leaves.
  const found = tally(output);
  if (code !== 0 && found?.failed === 0) {
    console.log(`exit code ${code} after tests that passed: deno test ${args.join(" ")}`);
  }
  // Without a closing line no test ran, for instance because a file does not compile.
  return { code, passed: 0, failed: code === 0 ? 0 : 1, ...found };
}

/** The test files of a folder, in the order of their names. */
function testFiles(folder: string): string[] {
  return [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1).flatMap(({ name, isDirectory }) =>
    isDirectory ? testFiles(`${folder}/${name}`) : name.endsWith("_test.ts") ? [`${folder}/${name}`] : []
  );
}

/** How many files share a process, which takes seconds to start. */
const BATCH = 6;

/**
 * Files that take longest, which begin first and each by itself: one that began late would keep one core busy while the others
 * have nothing left to do.
 */
const LONG = [
  ...["tasks/trainer_parts", "scripts/sweep", "dsl/compile_whole", "scripts/page_webgpu", "scripts/train_stopped"],
  ...["scripts/run_again", "dsl/compile_tensorflow", "scripts/ranks", "adapters/laws", "scripts/page", "docs"],
].map((name) => `tests/${name}_test.ts`);

/** The whole suite in as many processes as there are cores, at most four: each test file needs about one core. */
async function runAll(): Promise<Result[]> {
  const others = testFiles("tests").filter((file) => ![...APART.flat(), ...LONG].includes(file));
  // Commands first: what comes last should be short.
  const isCommand = (file: string) => file.startsWith("tests/scripts/");
  const files = [...others.filter(isCommand), ...others.filter((file) => !isCommand(file)).reverse()];
  const batches = [...APART, ...LONG.map((file) => [file])];
  while (files.length > 0) batches.push(files.splice(0, Math.min(BATCH, Math.ceil(files.length / 4))));
  const results: Result[] = [];
  // The whole suite leaves types to `deno check`, which takes a quarter of the time.
  const worker = async () => {
    for (let batch; (batch = batches.shift());) results.push(await run(["--no-check", ...batch], false));
  };
  await Promise.all(Array.from({ length: Math.min(navigator.hardwareConcurrency, 4) }, worker));
  return results;
}

const results = Deno.args.length > 0 ? [await run(Deno.args)] : await runAll();
const sum = (of: "passed" | "failed") => results.reduce((total, each) => total + each[of], 0);
console.log(`${sum("passed")} passed, ${sum("failed")} failed`);
Deno.exit(Math.max(...results.map(({ code }) => code)));
