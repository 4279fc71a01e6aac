/**
 * What a training step takes, foretold without weights.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { compile, type Layer, OneloraError, rematerialiseBlocks, useBackend } from "../../dsl/mod.ts";
import { compileMoving } from "../../dsl/compile/compile.ts";
import { movesOf } from "../../dsl/compile/resident.ts";
import { productFlops } from "../../dsl/compile/program.ts";
import { trace } from "../../dsl/compile/trace.ts";
import { adapt, parameterCounts } from "../../adapters/mod.ts";
import { openModel } from "../../models/mod.ts";
import { planTraining } from "../../tasks/mod.ts";
import { available } from "../support/available.ts";
import { failure, output } from "../support/command.ts";
import { withoutLeaks } from "../support/compare.ts";
import { peakOfResults } from "../support/live_bytes.ts";
import { microSize, type MicroStep, microStep } from "../support/micro_steps.ts";

type Change = (layer: Layer) => Layer;

function planned({ model, layer }: MicroStep, backend: "wasm" | "cpu", precision: "float32" | "bf16" = "float32") {
  return planTraining(model, layer, { ...microSize, backend, precision });
}

for (const backend of await available("wasm", "cpu")) {
  Deno.test(`the plan is that of the program traced with weights, byte for byte (${backend})`, async () => {
    await useBackend(backend);
    for (const [name, spec] of [["vit-micro", "1lora"], ["llama-micro", "dora+norms"], ["vit-micro", "all"]] as const) {
      for (const change of [(layer: Layer) => layer, rematerialiseBlocks] as readonly Change[]) {
        await withoutLeaks(async () => {
          const made = await microStep(name, spec, change);
          const compiled = compileMoving(made.step, movesOf);
          const { peakBytes, residentBytes } = compiled.plan(made.state, made.batch);
          const plan = planned(made, backend as "wasm" | "cpu");
          const { frozen, trained, optimiser, batch, constants, ...rest } = plan.atPeak;
          assertEquals(plan.peakBytes, peakBytes, `${name} ${spec}`);
          assertEquals(frozen + trained + optimiser + batch + constants, residentBytes, `${name} ${spec}`);
          assertEquals(residentBytes + rest.gradients + rest.next + rest.activations, peakBytes, `${name} ${spec}`);
          assertEquals(plan.calls, compiled.program(made.state, made.batch).calls.length);
          compiled.dispose();
        });
      }
    }
  });
}

Deno.test("the plan agrees with the bytes that live during a replay to 1 %", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const made = await microStep("llama-micro", "1lora");
    const { peakBytes, atPeak: { frozen, trained, optimiser, batch, constants } } = planned(made, "cpu");
    const { frozen: kept, trained: moved, optimiser: state } = made.state;
    const given = [kept, moved, state, made.batch].flatMap((tree) => Object.values(tree));
    const compiled = compile(made.step);
    const { calls } = compiled.program(made.state, made.batch);
    compiled.dispose();
    const again = compile(made.step);
    const peak = peakOfResults(calls, given, () => again(made.state, made.batch));
    again.dispose();
    assertAlmostEquals((peak + frozen + trained + optimiser + batch + constants) / peakBytes, 1, 0.01);
  });
});

Deno.test("gradients, moments and the next step's state are counted by what they are", async () => {
  await useBackend("cpu");
  const model = await openModel("llama-micro");
  const layer = adapt("all")(model.layer);
  const plan = planTraining(model, layer, { batch: 1, length: 2, backend: "cpu" });
  assertEquals(plan.trained, 4 * parameterCounts(layer, model.headPath).adapter);
  assertEquals([plan.gradients, plan.optimiser], [plan.trained, 2 * plan.trained + 4]);
  // With next to no activations the update is the peak, when most of the next step's state is there.
  assert(plan.atPeak.next > plan.trained, `${plan.atPeak.next}`);
  const early = planTraining(model, layer, { batch: 64, length: 64, backend: "cpu" });
  assert(early.atPeak.next < 5 && early.atPeak.gradients < early.gradients, JSON.stringify(early.atPeak));
});

Deno.test("bf16 halves frozen matrices and takes less than float32", async () => {
  await useBackend("cpu");
  const model = await openModel("llama-2-7b");
  const options = { batch: 1, length: 16, backend: "tensorflow" } as const;
  const [full, half] = (["float32", "bf16"] as const).map((precision) =>
    planTraining(model, adapt("1lora")(model.layer), { ...options, precision })
  );
  assertEquals(full.weights, { float32: 4 * 6_738_415_616, bf16: 0, quantised: 0 });
  // The table of embeddings is kept as the file has it; norms stay float32.
  const exact = 65 * 4096;
  assertEquals(half.weights, { float32: 4 * exact, bf16: 2 * (6_738_415_616 - exact), quantised: 0 });
  assert(half.atPeak.activations < full.atPeak.activations);
});

Deno.test("quantised weights count as they are kept, and one matrix of them as the numbers that are read", async () => {
  await useBackend("cpu");
  const model = await openModel("llama-2-7b");
  const options = { batch: 1, length: 16, backend: "tensorflow", precision: "bf16" } as const;
  const layer = adapt("1lora")(model.layer);
  const [int8, nf4] = (["int8", "nf4"] as const).map((quantise) =>
    planTraining(model, layer, { ...options, quantise })
  );
  const [table, blocks, rows] = [32_000 * 4096, 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008), 32 * (5 * 4096 + 2 * 11008)];
  assertEquals(int8.weights, { float32: 4 * 65 * 4096, bf16: 2 * 2 * table, quantised: blocks + 4 * rows });
  // Two numbers a byte, a byte for each 64, four bytes for each 256 of these and for their mean.
  const maxima = blocks / 64;
  assertEquals(nf4.weights.quantised, blocks / 2 + maxima + 4 * (maxima / 256 + 32 * 7));
  assert([0, 2 * 4096 * 4096, 2 * 4096 * 11008].includes(nf4.atPeak.unpacked), `${nf4.atPeak.unpacked}`);
  // Elsewhere the same numbers are float32.
  const plain = planTraining(model, layer, { ...options, precision: "float32", backend: "cpu", quantise: "nf4" });
  assertEquals(plain.weights, { float32: 4 * 6_738_415_616, bf16: 0, quantised: 0 });
});

Deno.test("operations of products are counted, convolutions' gradients included", () => {
  const floats = (...shape: number[]) => ({ shape, dtype: "float32" } as const);
  const program = trace(
    ([x, w]) => [tf.conv2dTranspose(x as tf.Tensor4D, w as tf.Tensor4D, [1, 8, 8, 3], 2, "same")],
    [floats(1, 4, 4, 5), floats(3, 3, 3, 5)],
  );
  assertEquals(productFlops(program), 2 * (4 * 4 * 5) * (3 * 3 * 3));
});

Deno.test("an autoencoder has no training step to plan", async () => {
  await useBackend("cpu");
  const model = await openModel("vae-micro");
  const error = assertThrows(
    () => planTraining(model, model.layer, { batch: 1, length: 1 }),
    OneloraError,
    "a autoencoder",
  );
  assertEquals(error.exitCode, 2);
});

Deno.test("params --plan prints what adds up to the peak, for the largest models too", async () => {
  const cases: readonly (readonly string[])[] = [
    ["--model", "llama-2-13b", "--precision", "bf16", "--gradient-checkpointing"],
    ["--model", "depth-anything-large"],
    ["--model", "dit-xl-2", "--batch", "2"],
    ["--model", "vit-base", "--batch", "10", "--adapter", "lora:rank=4", "--backend", "wasm"],
  ];
  for (const args of cases) {
    const { trainable, head, plan } = JSON.parse(await output("params", "--plan", "--json", ...args));
    const parts: readonly number[] = Object.values(plan.atPeak);
    assertEquals(parts.reduce((sum, bytes) => sum + bytes, 0), plan.peakBytes, args.join(" "));
    assertEquals(plan.trained, 4 * (trainable + (args[1] === "vit-base" ? head : 0)), args.join(" "));
    assertEquals(plan.weights.bf16 > plan.weights.float32, plan.precision === "bf16");
    assert(plan.productFlops > 1e11);
  }
  const lengths = await Promise.all(["8", "16"].map(async (length) => {
    const args = ["--model", "llama-micro", "--plan", "--json", "--length", length, "--backend", "cpu"];
    return JSON.parse(await output("params", ...args)).plan;
  }));
  // Ids and labels, the weight and the rate.
  assertEquals(lengths.map(({ atPeak }) => atPeak.batch), [2 * 8 * 4 + 8, 2 * 16 * 4 + 8]);
  assert(lengths[0].peakBytes < lengths[1].peakBytes);
  const printed = await output("params", "--plan");
  for (const row of ["weights", "gradients", "activations", "peak"]) assert(printed.includes(`\n${row} `), printed);
});

Deno.test("params --plan refuses bf16 where it is not computed, and models without a task", async () => {
  assertEquals((await failure("params", "--plan", "--precision", "bf16", "--backend", "cpu"))[0], 2);
  assertEquals((await failure("params", "--plan", "--model", "vae-micro"))[0], 2);
});
