import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { OneloraError, useBackend } from "../../dsl/mod.ts";
import { openModel } from "../../models/mod.ts";
import { type BatchSize, taskKind } from "../../tasks/mod.ts";
import { openMnist } from "../../tasks/data/mnist.ts";
import { requireTask } from "../../tasks/kinds.ts";
import { methodOn } from "../../tasks/trainer/method.ts";
import { forwardNeeds, roomThere } from "../../tasks/trainer/room.ts";
import { requireRoomToTrain } from "../../tasks/trainer/room_to_train.ts";
import { whileReading } from "../../tasks/trainer/needs.ts";
import { planForward, planSteps } from "../../tasks/trainer/plan.ts";
import type { PreparedTask } from "../../tasks/trainer/task.ts";
import type { Run } from "../../tasks/trainer/run_settings.ts";

await useBackend("wasm");

const model = await openModel("vit-base");
const kind = requireTask(model, "planning");
const run = { model: "vit-base", batchSize: 1, accumulate: 1, adapter: "1lora", target: "all-linear" } as Run;
const layer = methodOn(model, run, kind.besides(model));
const prepared = { model, layer, examples: 100 } as PreparedTask;

function evaluations(rows: number, bytes: (rows: number) => number) {
  return { rows, needs: (each: number) => Promise.resolve(() => bytes(each)) };
}

Deno.test("a run whose evaluations alone do not fit is told of the most examples at a time that do", async () => {
  const room = roomThere();
  if (room === undefined) return;
  const refused = async (asked: Run, bytes: (rows: number) => number) =>
    (await assertRejects(() => requireRoomToTrain(kind, prepared, asked, evaluations(100, bytes)), OneloraError))
      .message;
  const each = room.bytes / 30;
  assertStringIncludes(await refused(run, (rows) => rows * each), "what fits: --eval-batch 25 (");
  assertStringIncludes(
    await refused({ ...run, adapter: "none" }, (rows) => rows * each),
    "what fits: --eval-batch 25 (",
  );
  // Nothing is proposed that does not help.
  const { total } = Deno.systemMemoryInfo();
  assert(!(await refused(run, () => 2 * total)).includes("what fits"));
  await requireRoomToTrain(kind, prepared, run, evaluations(100, (rows) => rows * each / 100));
});

Deno.test("a rank that no memory holds is told as such, and not as too large a model", async () => {
  if (roomThere() === undefined) return;
  const wide = { ...run, adapter: "lora", rank: 100_000 } as Run;
  const adapted = { ...prepared, layer: methodOn(model, wide, kind.besides(model)) };
  const { message } = await assertRejects(
    () => requireRoomToTrain(kind, adapted, wide, evaluations(1, () => 0)),
    OneloraError,
  );
  assertMatch(message, /or an adapter that trains less: what this one does takes 26\d GB of it$/);
});

Deno.test("data that is in memory all the while is part of what a run takes", async () => {
  const room = roomThere();
  if (room === undefined) return;
  const { held } = await openMnist();
  assertEquals(held, 70_000 * (28 * 28 + 1));
  // It fits by itself, but not beside as much as fits without it.
  const needs = evaluations(1, () => room.bytes - held! / 2);
  await requireRoomToTrain(kind, prepared, run, needs);
  await assertRejects(
    () => requireRoomToTrain(kind, { ...prepared, held }, run, needs),
    OneloraError,
    "needed by plan",
  );
});

Deno.test("an evaluation between steps has the step's state beside it, and shares what both keep in one form", () => {
  for (const backend of ["tensorflow", "wasm", "cpu"] as const) {
    const size: BatchSize = { batch: 2, length: 0 };
    const { plan, ran } = planSteps(kind, model, layer, { ...size, backend });
    const alone = planForward(kind, model, layer, { ...size, backend }).processBytes;
    const after = planForward(kind, model, layer, { ...size, backend, after: ran }).processBytes;
    assert(after >= plan.processBytes && after > alone, `${backend}: ${after}, ${plan.processBytes}, ${alone}`);
    // Not the weights twice.
    assert(after < plan.processBytes + alone - plan.weights.float32, `${backend}: ${after}`);
  }
});

Deno.test("an evaluation has the numbers of weights that the step keeps in another form besides", () => {
  const { ran } = planSteps(kind, model, layer, { batch: 1, length: 0, backend: "cpu" });
  const halved = new Map([...ran.parameters].map(([path, bytes]) => [path, bytes / 2]));
  const [shared, besides] = [ran, { ...ran, parameters: halved }].map((after) =>
    planForward(kind, model, layer, { batch: 100, length: 0, backend: "cpu", after }).processBytes
  );
  assertEquals(besides - shared, ran.parameters.values().reduce((sum, bytes) => sum + bytes, 0));
});

Deno.test("tasks say how many examples they judge at a time", async () => {
  assertEquals(kind.evaluationRows(model), 100);
  assertEquals(taskKind("text").evaluationRows(await openModel("llama-micro")), 8);
  const kept = { backend: "tensorflow" } as const;
  const needs = (batch: number) => forwardNeeds(kind, model, { batch, length: 0 })(layer, kept);
  assert(needs(100) > needs(50));
});

Deno.test("a run's room is that of its own optimiser: an average of what it trains, and gradients that are clipped together", async () => {
  if (roomThere() === undefined) return;
  const all = { ...run, adapter: "all", weightDecay: 0.01, clip: 0 } as Run;
  const whole = { ...prepared, layer: methodOn(model, all, kind.besides(model)) };
  const { plan } = planSteps(kind, model, whole.layer, { batch: 1, length: 0, backend: "wasm" });
  const original = Deno.systemMemoryInfo;
  const total = 1.01 * whileReading("wasm", plan.processBytes);
  try {
    Deno.systemMemoryInfo = () => ({ ...original(), total });
    await requireRoomToTrain(kind, whole, all, evaluations(1, () => 0));
    for (const more of [{ ema: 0.99 }, { clip: 1 }, { batchSize: 2, accumulate: 2 }]) {
      const message = (await assertRejects(() =>
        requireRoomToTrain(
          kind,
          whole,
          { ...all, ...more },
          evaluations(1, () => 0),
        ), OneloraError)).message;
      assertStringIncludes(message, "needed by plan");
    }
  } finally {
    Deno.systemMemoryInfo = original;
  }
});

Deno.test("few steps on tensorflow are not compiled, and nothing is then moved in place", () => {
  const all = methodOn(model, { ...run, adapter: "all" }, kind.besides(model));
  const size = { batch: 1, length: 0 };
  const bytes = (backend: "tensorflow" | "wasm", steps?: number) =>
    planSteps(kind, model, all, { ...size, backend, steps }).plan.processBytes;
  assertEquals(bytes("tensorflow", 128), bytes("tensorflow"));
  const { trained, optimiser } = planSteps(kind, model, all, { ...size, backend: "tensorflow" }).plan;
  // What is trained and its moments are there twice, where activations are gone.
  const more = bytes("tensorflow", 127) - bytes("tensorflow");
  assert(more > 0.5 * (trained + optimiser) && more < trained + optimiser, `${more}`);
  assertEquals(bytes("wasm", 1), bytes("wasm"));
});
