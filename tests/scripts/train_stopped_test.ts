import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { available } from "../support/available.ts";
import { adapterBytes, json, linesOf, losses, output, type Running, smallCifar, start } from "../support/command.ts";

const folder = await Deno.makeTempDir();
const data = await smallCifar(`${folder}/cifar`);
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

const model = "tests/fixtures/vit-rgb";
const common = ["--model", model, "--data", data, "--backend", "wasm", "--batch-size", "8", "--lr", "0.003"];

/** Settings of the runs below, which are stopped on the way: an odd checkpoint interval, every kind of state moving. */
const long = [...common, "--adapter", "dora+norms", "--steps", "150", "--checkpoint-every", "7", "--eval-every", "20"];
let uninterrupted: Promise<string> | undefined;

/** The folder of a run with these settings that nothing disturbed. */
async function whole(): Promise<string> {
  const run = `${folder}/whole`;
  uninterrupted ??= output("train", ...long, "--out", run);
  await uninterrupted;
  return run;
}

/** Waits until a run has logged so many steps. */
async function reached(run: string, steps: number, { outcome }: Running): Promise<void> {
  const ended = outcome.then(({ err }) => Promise.reject(new Error(`ended before step ${steps}: ${err}`)));
  ended.catch(() => {});
  while ((await linesOf(`${run}/metrics.jsonl`)).length < steps) {
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 2))]);
  }
}

Deno.test("a run killed at random steps and resumed ends with the bytes of one that was not", async () => {
  const run = `${folder}/killed`;
  let state = 20260101;
  let least = 0;
  for (let kill = 0; kill < 3; kill++) {
    const running = kill === 0 ? start("train", ...long, "--out", run) : start("train", "--resume", run);
    state = (state * 48271) % 2147483647;
    least += 10 + state % 30;
    await reached(run, least, running);
    running.process.kill("SIGKILL");
    assert((await running.outcome).code >= 128);
  }
  await output("train", "--resume", run);
  const undisturbed = await whole();
  assertEquals(await adapterBytes(run), await adapterBytes(undisturbed));
  assertEquals(await losses(run), await losses(undisturbed));
  assertEquals((await losses(run)).length, 150);
  const [{ metrics, steps }, expected] = [await json(`${run}/summary.json`), await json(`${undisturbed}/summary.json`)];
  assertEquals({ metrics, steps }, { metrics: expected.metrics, steps: expected.steps });
});

for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(`${signal} ends a run with one line and its exit code, and it resumes to the same bytes`, async () => {
    const run = `${folder}/interrupted-${signal}`;
    const running = start("train", ...long, "--out", run);
    await reached(run, 25, running);
    running.process.kill(signal);
    const { code, err } = await running.outcome;
    assertEquals(code, expected);
    const errors = err.trimEnd().split("\n").filter((line) => line.startsWith("error: "));
    assertEquals(errors.length, 1);
    assertMatch(errors[0], new RegExp(`an interrupt after step \\d+; allowed: continuing with --resume ${run}`));
    const stoppedAt = Number(/after step (\d+)/.exec(errors[0])![1]);
    assert(stoppedAt >= 25 && stoppedAt < 150);
    assertEquals((await linesOf(`${run}/metrics.jsonl`)).length, stoppedAt);
    assertStringIncludes(await output("train", "--resume", run), `resumed at step ${stoppedAt} of 150`);
    assertEquals(await adapterBytes(run), await adapterBytes(await whole()));
    assertEquals(await losses(run), await losses(await whole()));
  });
}

for (const backend of await available("wasm", "tensorflow", "cpu")) {
  Deno.test(`a signal is seen between steps (${backend})`, async () => {
    const run = `${folder}/seen-${backend}`;
    const settings = [...common.slice(0, 4), "--backend", backend, "--batch-size", "8", "--steps", "100000"];
    const running = start("train", ...settings, "--out", run);
    await reached(run, 5, running);
    const before = (await linesOf(`${run}/metrics.jsonl`)).length;
    const sent = performance.now();
    running.process.kill("SIGTERM");
    const { code, err } = await running.outcome;
    assertEquals(code, 143, err);
    const stoppedAt = Number(/after step (\d+)/.exec(err)![1]);
    assertEquals((await linesOf(`${run}/metrics.jsonl`)).length, stoppedAt);
    assert(stoppedAt >= before && performance.now() - sent < 20_000, `${stoppedAt}`);
  });
}

for (const backend of await available("wasm", "tensorflow", "cpu")) {
  Deno.test(`a signal is seen between the batches of an evaluation (${backend})`, async () => {
    const run = `${folder}/evaluating-${backend}`;
    // Ten thousand pictures to judge by, ten at a time, which plain JavaScript takes two seconds for.
    const settings = [
      "--backend",
      backend,
      "--batch-size",
      "2",
      "--steps",
      "9",
      "--eval-every",
      "4",
      "--eval-batch",
      "10",
    ];
    const running = start("train", "--data", "mnist", ...settings, "--out", run);
    await reached(run, 3, running);
    await new Promise((resolve) => setTimeout(resolve, 250));
    const sent = performance.now();
    running.process.kill("SIGTERM");
    const { code, err } = await running.outcome;
    assertEquals(code, 143, err);
    assertStringIncludes(err, "an interrupt after step 4; ");
    assert(performance.now() - sent < 10_000);
    // The fourth waits for its evaluation.
    assertEquals((await linesOf(`${run}/metrics.jsonl`)).length, 3);
  });
}

Deno.test("a second signal ends a run at once", async () => {
  // A step takes about a second.
  const settings = [
    "--backend",
    "cpu",
    "--batch-size",
    "24",
    "--limit",
    "96",
    "--steps",
    "9",
    "--checkpoint-every",
    "0",
  ];
  const endsAtOnce = async (run: string) => {
    const running = start("train", "--data", "mnist", ...settings, "--out", run);
    await reached(run, 1, running);
    // Two signals that come before the process looks are one to it, so there are many of them, soon enough for the same step.
    const more = setInterval(() => {
      try {
        running.process.kill("SIGINT");
      } catch {
        // It has ended.
      }
    }, 5);
    const { code, err } = await running.outcome;
    clearInterval(more);
    assertEquals(code, 130, err);
    return !err.includes("error: ");
  };
  // The first of a busy machine may come so late in a step that the run has ended in its own time before the next.
  let isSeen = false;
  for (let i = 0; i < 3 && !isSeen; i++) isSeen = await endsAtOnce(`${folder}/twice-${i}`);
  assert(isSeen);
});
