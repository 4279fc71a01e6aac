import { assert, assertAlmostEquals, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { kindOf } from "../../scripts/tools/bench/profile.ts";
import { inWords } from "../../scripts/tools/bench/report.ts";
import type { Results } from "../../scripts/tools/bench/results.ts";
import type { StepAnswer, StepJob } from "../../scripts/tools/bench/job.ts";
import { median, spread } from "../../scripts/tools/bench/statistics.ts";
import { measureCases } from "../../scripts/tools/bench/steps.ts";
import { OneloraError } from "../../dsl/error.ts";
import { failure, output, runTask } from "../support/command.ts";

/** The smallest model there is, once. */
const tiny = ["--model", "tests/fixtures/vit-rgb", "--batch", "2", "--method", "1lora", "--backend", "wasm"];
const once = ["--rounds", "1", "--warmup", "1", "--repeats", "1"];

Deno.test("a median is the middle, or the mean of the middle two", () => {
  assertEquals([[3], [1, 9], [9, 1, 2], [4, 1, 3, 2]].map(median), [3, 5, 2, 2.5]);
  assertEquals(spread([5, 1, 3]), { median: 3, least: 1, most: 5, count: 3 });
});

Deno.test("contenders alternate, ratios are of one round, and who fails is left out", async () => {
  const calls: string[] = [];
  const answer = (seconds: number): StepAnswer => ({
    engine: "a clock",
    seconds: [seconds],
    losses: [2],
    baseBytes: 1,
    peakBytes: 1 + 10 * seconds,
  });
  // The machine is half as fast in the second round.
  const contender = (name: string, seconds: number) => ({
    name,
    measure: (): Promise<StepAnswer> => {
      calls.push(name);
      const round = calls.filter((each) => each === name).length;
      return Promise.resolve(answer(seconds * round));
    },
  });
  const broken = {
    name: "broken",
    measure: () => Promise.reject(new OneloraError({ attempted: "a", found: "smoke", allowed: "air" })),
  };
  const job = { method: "1lora", batch: 2, precision: "float32", folder: "somewhere" } as unknown as StepJob;
  const [result] = await measureCases(
    [{ model: "m", job }],
    [contender("ours", 1), contender("theirs", 4), broken],
    2,
    () => {},
  );
  assertEquals(calls, ["ours", "theirs", "ours", "theirs"]);
  assertEquals(result.measured.map(({ name }) => name), ["ours", "theirs"]);
  assertEquals(result.ratios, [{
    to: "theirs",
    seconds: { median: 0.25, least: 0.25, most: 0.25, count: 2 },
    bytes: { median: 0.25, least: 0.25, most: 0.25, count: 2 },
    lossDifference: 0,
  }]);
  assertEquals(result.failed, { broken: "smoke" });
  const text = inWords({ machine: { deno: "", target: "", cores: 1 }, peers: [result] });
  assertStringIncludes(text, "0.25");
  assertStringIncludes(text, "failed: smoke");
});

Deno.test("kernels are told apart by what limits them", () => {
  assertEquals(["_FusedMatMul", "Gelu", "SoftmaxGrad", "Transpose", "Add"].map(kindOf), [
    "matrix product",
    "elementwise",
    "reduction",
    "movement",
    "elementwise",
  ]);
});

Deno.test("our step and plain tfjs's are measured, and their losses agree", async () => {
  const results: Results = JSON.parse(await output("bench", "--part", "wasm", ...tiny, ...once, "--json"));
  const [{ model, method, batch, precision, measured, ratios }] = results.wasm!;
  assertEquals([model, method, batch, precision], ["tests/fixtures/vit-rgb", "1lora", 2, "float32"]);
  const [ours, plain] = measured;
  assertEquals([ours.name, plain.name], ["ours", "tfjs-wasm"]);
  for (const { seconds, bytes, losses } of [ours, plain]) {
    assertEquals([seconds.count, bytes.count, losses.length], [1, 1, 2]);
    assert(seconds.median > 0 && bytes.median > 0);
  }
  assertAlmostEquals(ratios[0].seconds.median, ours.seconds.median / plain.seconds.median, 1e-9);
  assertLess(ratios[0].lossDifference!, 1e-4);
  // The second step's loss shows that gradients and AdamW agree too.
  assert(ours.losses[0] !== ours.losses[1]);
});

Deno.test("steps are measured without PyTorch, a line says so, and a chart is drawn", async () => {
  const chart = await Deno.makeTempFile({ suffix: ".svg" });
  try {
    const { code, out, err } = await runTask(
      "bench",
      ...["--part", "peers", ...tiny, ...once, "--python", "no-such-python", "--json", "--chart", chart],
    );
    assertEquals(code, 0, err);
    const { peers, machine }: Results = JSON.parse(out);
    assertEquals(peers!.map(({ measured }) => measured.map(({ name }) => name)), [["ours"]]);
    assert(machine.cores > 0);
    assertStringIncludes(err, "without PyTorch: no-such-python says no program no-such-python");
    assertStringIncludes(await Deno.readTextFile(chart), "<svg");
  } finally {
    await Deno.remove(chart);
  }
});

Deno.test("a profile says where a step's time goes", async () => {
  const { profile }: Results = JSON.parse(await output("bench", "--profile", ...tiny, ...once, "--json"));
  const [{ seconds, kernels }] = profile!;
  const sum = kernels.reduce((total, each) => total + each.seconds, 0);
  assert(sum > 0 && sum <= seconds);
  const products = kernels.filter(({ kind }) => kind === "matrix product");
  assert(products.some(({ flops, bytes, calls }) => flops > 0 && bytes > 0 && calls > 0));
  assertEquals(new Set(kernels.map(({ kernel }) => kernel)).size, kernels.length);
});

Deno.test("wrong usage is one line with exit code 2", async () => {
  assertEquals(await failure("bench", "--method", "lola"), [
    2,
    'choosing method: found "lola" (did you mean "lora"?); allowed: 1lora, lora, dora, vera, bitfit, all',
  ]);
  assertEquals((await failure("bench", "--batch", "0"))[0], 2);
  assertEquals((await failure("bench", "--model", "llama-micro"))[0], 2);
  assertEquals((await failure("bench", "--backend", "wasm", "--precision", "bf16"))[0], 2);
  assertEquals((await failure("bench", "--backend", "tensorflow", "--precision", "bf16", "--profile"))[0], 2);
});
