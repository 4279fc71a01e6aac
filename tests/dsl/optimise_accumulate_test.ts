import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import {
  accumulate,
  adamw,
  chain,
  clipByGlobalNorm,
  fold,
  key,
  normal,
  OneloraError,
  type Optimiser,
  type Params,
  startResident,
  type StepState,
  useBackend,
} from "../../dsl/mod.ts";
import { gradientNorm } from "../../dsl/optimise/clip.ts";
import { trainStep } from "../../tasks/mod.ts";
import { loadCheckpoint, saveCheckpoint } from "../../tasks/trainer/checkpoint.ts";
import { available } from "../support/available.ts";
import { withoutLeaks } from "../support/compare.ts";

const PARTS = 3;
const SHAPES: Readonly<Record<string, readonly number[]>> = { w: [3, 4], b: [4], g: [] };

function noise(name: string): Params {
  return Object.fromEntries(
    Object.entries(SHAPES).map(([path, shape]) => {
      const count = shape.reduce((size, length) => size * length, 1);
      return [path, tf.tensor(normal(fold(key(5), name, path), count), [...shape])];
    }),
  );
}

const initial = () => noise("start");
const gradient = (call: number) => noise(`gradient ${call}`);

/** The mean of a step's gradients. */
function mean(step: number): Params {
  const [first, ...rest] = Array.from({ length: PARTS }, (_, part) => gradient(step * PARTS + part));
  const sums = rest.reduce(
    (sum, each) => Object.fromEntries(Object.keys(sum).map((p) => [p, tf.add(sum[p], each[p])])),
    {
      ...first,
    },
  );
  return Object.fromEntries(Object.entries(sums).map(([path, sum]) => [path, tf.div(sum, PARTS)]));
}

const rateOf = (step: number) => tf.scalar(0.1 / (1 + step));

/** Where two steps on mean gradients lead. */
function expected(optimiser: Optimiser): { readonly params: Params; readonly state: Params } {
  const start = initial();
  const first = optimiser.update(mean(0), optimiser.init(start), start, rateOf(0));
  return optimiser.update(mean(1), first.state, first.params, rateOf(1));
}

const optimisers: Readonly<Record<string, Optimiser>> = {
  "AdamW": adamw({ weightDecay: 0.1 }),
  "AdamW after clipping": chain(clipByGlobalNorm(0.5))(adamw()),
};

function assertSame(found: Params, wanted: Params, tolerance = 0): void {
  for (const [path, tensor] of Object.entries(wanted)) {
    const values = tensor.dataSync();
    assertEquals(found[path].shape, tensor.shape);
    found[path].dataSync().forEach((value, i) =>
      tolerance === 0
        ? assertEquals(value, values[i], `${path}[${i}]`)
        : assertAlmostEquals(value, values[i], tolerance, `${path}[${i}]`)
    );
  }
}

for (const backend of await available("cpu", "wasm", "tensorflow")) {
  for (const [name, optimiser] of Object.entries(optimisers)) {
    Deno.test(`${name} on accumulated gradients takes the steps of their means, bit for bit (${backend})`, async () => {
      await useBackend(backend);
      tf.tidy(() => {
        const every = accumulate(PARTS)(optimiser);
        let params = initial();
        let state = every.init(params);
        const paths = Object.keys(state).toSorted();
        for (let call = 0; call < 2 * PARTS; call++) {
          const next = every.update(gradient(call), state, params, rateOf(Math.floor(call / PARTS)));
          if (call % PARTS < PARTS - 1) assertSame(next.params, params);
          ({ params, state } = next);
          assertEquals(Object.keys(state).toSorted(), paths);
        }
        const wanted = expected(optimiser);
        assertSame(params, wanted.params);
        assertSame(state, wanted.state);
      });
    });
  }
}

/** A step whose gradient is its batch. */
const stepOf = (optimiser: Optimiser) =>
  trainStep((params, batch) => ({
    loss: tf.addN(Object.keys(SHAPES).map((path) => tf.sum(tf.mul(params[path], batch[path])))) as tf.Scalar,
  }), optimiser);

function begin(optimiser: Optimiser): StepState {
  const trained = initial();
  return { frozen: {}, trained, optimiser: optimiser.init(trained) };
}

for (const backend of await available("wasm", "tensorflow")) {
  Deno.test(`a compiled step accumulates, and goes on from a checkpoint between parts (${backend})`, async () => {
    await useBackend(backend);
    const folder = await Deno.makeTempDir();
    await withoutLeaks(async () => {
      const optimiser = optimisers["AdamW after clipping"];
      const every = accumulate(PARTS)(optimiser);
      const from = async (state: StepState, first: number, end: number) => {
        const resident = startResident(stepOf(every), state);
        for (let call = first; call < end; call++) {
          await resident.step({ ...gradient(call), rate: rateOf(Math.floor(call / PARTS)) });
        }
        const reached = resident.read();
        resident.dispose();
        return reached;
      };
      const whole = await from(begin(every), 0, 2 * PARTS);
      const wanted = expected(optimiser);
      assertSame(whole.trained, wanted.params, 1e-6);
      assertSame(whole.optimiser, wanted.state, 1e-6);
      assertEquals(gradientNorm in whole.optimiser, true);

      const broken = await from(begin(every), 0, PARTS + 2);
      const progress = { step: 1, position: { epoch: 0, offset: 0 }, seconds: 0 };
      await saveCheckpoint(`${folder}/between.safetensors`, broken, progress);
      const read = await loadCheckpoint(`${folder}/between.safetensors`, begin(every));
      const resumed = await from(
        { frozen: {}, trained: read.trained, optimiser: read.optimiser },
        PARTS + 2,
        2 * PARTS,
      );
      assertSame(resumed.trained, whole.trained);
      assertSame(resumed.optimiser, whole.optimiser);
      for (const { trained, optimiser } of [whole, broken, resumed]) tf.dispose([trained, optimiser]);
    }).finally(() => Deno.remove(folder, { recursive: true }));
  });
}

Deno.test("one part changes nothing, and less than one is refused", () => {
  const optimiser = adamw();
  assertEquals(accumulate(1)(optimiser), optimiser);
  for (const count of [0, 1.5, -1, NaN]) assertThrows(() => accumulate(count), OneloraError, `${count} parts`);
});
