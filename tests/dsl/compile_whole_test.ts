/** Steps compiled whole, as they are on a GPU; here XLA compiles them for the CPU. @module */
import { assert, assertEquals } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import {
  compile,
  mapTree,
  type Params,
  type PureStep,
  rematerialiseBlocks,
  type ResidentOptions,
  startResident,
  type StepState,
  useBackend,
} from "../../dsl/mod.ts";
import { trace } from "../../dsl/compile/trace.ts";
import { type Program, simplify } from "../../dsl/compile/mod.ts";
import { productFlops } from "../../dsl/compile/program.ts";
import { prepareGraph, preparing } from "../../dsl/compile/tensorflow/prepare.ts";
import { asRows } from "../../dsl/compile/tensorflow/rows.ts";
import { flatten } from "../../dsl/tree.ts";
import { graphReplayer } from "../../dsl/compile/tensorflow/replay.ts";
import { freeHandle, openSession, tensorOf, wordsOf } from "../../dsl/engine/tensorflow_graph/session.ts";
import { ELEMENT, graphBuilder } from "../../dsl/engine/tensorflow_graph/graph.ts";
import { available } from "../support/available.ts";
import { assertClose, withoutLeaks } from "../support/compare.ts";
import { joinedStep } from "../support/joined_methods.ts";
import { microStep, smallestModels } from "../support/micro_steps.ts";

const ignore = (await available("tensorflow")).length === 0;
if (ignore) console.log("compile_whole_test: ignored, no tensorflow backend (`deno task native` provides it)");

/** What is done on a GPU; refuses to be anything but a graph. */
const asOnCards: ResidentOptions = { graph: "whole", feed: "words", onFallback: (line) => assert(false, line) };

function copyOf(tree: Params): Params {
  return mapTree((tensor: tf.Tensor) => tf.clone(tensor))(tree);
}

/** Steps compiled whole and kernel by kernel go the same way. */
async function agree(
  step: PureStep,
  state: StepState,
  batch: Params,
  what: string,
  isCompared: (path: string) => boolean = () => true,
  steps = 3,
): Promise<void> {
  const own = { frozen: copyOf(state.frozen), trained: copyOf(state.trained), optimiser: copyOf(state.optimiser) };
  const whole = startResident(step, own, asOnCards);
  const compiled = compile(step);
  let expected = state;
  for (let i = 0; i < steps; i++) {
    const numbers = await whole.step(batch);
    const [next, metrics] = compiled(expected, batch);
    assertEquals(Object.keys(numbers).sort(), Object.keys(metrics).sort());
    for (const [name, number] of Object.entries(metrics)) {
      assertClose(tf.scalar(numbers[name]), number, 1e-5, `${what}: ${name} of step ${i}`);
    }
    expected = next;
  }
  const found = whole.read();
  for (const part of ["trained", "optimiser"] as const) {
    for (const [path, tensor] of Object.entries(expected[part])) {
      if (isCompared(path)) assertClose(found[part][path], tensor, 1e-5, `${what}: ${path}`);
    }
  }
  tf.dispose(found as unknown as tf.TensorContainer);
  whole.dispose();
  compiled.dispose();
}

Deno.test({
  name: "a step of every method compiled as one function equals the replayed one",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    await withoutLeaks(async () => {
      const { step, state, batch } = joinedStep();
      await agree(step as PureStep, state, batch, "all methods");
    });
  },
});

for (const folder of smallestModels) {
  const name = folder.slice(folder.lastIndexOf("/") + 1);
  // Compilation takes most of the time: blocks are computed again in two of the four.
  const again = name === "vit-rgb" || name === "llama-grouped";
  Deno.test({
    name: `a step of ${name} compiled as one function equals the replayed one${again ? ", blocks computed again" : ""}`,
    ignore,
    fn: async () => {
      await useBackend("tensorflow");
      await withoutLeaks(async () => {
        const { step, state, batch } = await microStep(folder, "1lora", again ? rematerialiseBlocks : undefined);
        // Means of gradients are as exact as gradients; AdamW's steps only where no gradient is nothing but rounding.
        await agree(step as PureStep, state, batch, name, (path) => path.startsWith("m."));
      });
    },
  });
}

for (const [spec, prepared] of [["1lora", "float32"], ["all", "bf16"]] as const) {
  Deno.test({
    name: `activations of ${spec} that are computed again change nothing where tensors are large enough for it`,
    ignore,
    fn: async () => {
      await useBackend("tensorflow");
      await withoutLeaks(async () => {
        const { step, state, batch } = await microStep("vit-micro", spec, undefined, { batch: 48, length: 0 });
        const given = flatten((node): node is tf.Tensor => node instanceof tf.Tensor)([state, batch]);
        const traced = trace(
          (inputs) => {
            const [next, numbers] = step(...given.rebuild(inputs) as [typeof state, typeof batch]);
            return [next.trained, next.optimiser, numbers].flatMap((each) => Object.values(each));
          },
          given.leaves.map(({ shape, dtype }) => ({ shape, dtype })),
          { whole: true },
        );
        const count = ({ calls }: Program, kernel: string) => calls.filter((call) => call.kernel === kernel).length;
        // Of 1LoRA the products that make values, in float32 alone; of whole weights the ends of perceptrons.
        const [kernel, plain] = spec === "all"
          ? ["Erf", asRows(simplify(traced))]
          : ["BatchMatMul", preparing(true, "bf16")(traced)];
        const own = preparing(true, prepared)(traced);
        assert(count(own, kernel) > count(plain, kernel), `${count(own, kernel)} of ${count(plain, kernel)} ${kernel}`);
        // Of one step: AdamW makes a step of what is nothing but rounding.
        await agree(step as PureStep, state, batch, spec, (path) => path.startsWith("m."), 1);
      });
    },
  });
}

Deno.test("of a ViT's last block a step compiled whole computes only what its head reads", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const { step, state, batch } = await microStep("vit-micro", "all");
    const given = flatten((node): node is tf.Tensor => node instanceof tf.Tensor)([state, batch]);
    const [plain, whole] = [false, true].map((whole) =>
      simplify(trace(
        (inputs) => {
          const [next] = step(...given.rebuild(inputs) as [typeof state, typeof batch]);
          return Object.values(next.trained);
        },
        given.leaves.map(({ shape, dtype }) => ({ shape, dtype })),
        { whole },
      ))
    );
    // One block of four, but for its keys and values.
    const share = productFlops(whole) / productFlops(plain);
    assert(share > 0.75 && share < 0.85, `${share}`);
    tf.dispose([state, batch] as unknown as tf.TensorContainer);
  });
});

Deno.test({
  name: "a held batch is sent when it is another; a loss that is not finite leaves the state alone",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    await withoutLeaks(async () => {
      const step: PureStep = ({ frozen, trained, optimiser }, { x }) => {
        const sum = tf.sum(tf.mul(x, trained.w)) as tf.Scalar;
        return [{ frozen, trained: { w: tf.add(trained.w, 1) }, optimiser }, { loss: sum, twice: tf.mul(sum, 2) }];
      };
      const resident = startResident(step, { frozen: {}, trained: { w: tf.scalar(1) }, optimiser: {} }, asOnCards);
      const large = (value: number) => tf.tensor1d(new Float32Array(2 ** 15).fill(value));
      const [ones, twos, none] = [1, 2, NaN].map(large);
      const seen = [];
      for (const x of [ones, ones, twos, none, ones, tf.add(ones, ones)]) seen.push(await resident.step({ x }));
      assertEquals(seen.map(({ loss }) => loss / 2 ** 15), [1, 2, 6, NaN, 4, 10]);
      assertEquals(seen[2].twice, 2 * seen[2].loss);
      resident.dispose();
    });
  },
});

Deno.test({
  name: "a function as a graph that is fed as a GPU wants it gives the same, weights sent once",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    await withoutLeaks(() => {
      const bias = tf.tensor1d(Float32Array.from({ length: 128 }, (_, i) => i));
      const traced = trace(
        ([x, w]) => [tf.relu(tf.add(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D), bias))],
        [{ shape: [4, 256], dtype: "float32" }, { shape: [256, 128], dtype: "float32" }],
      );
      const graph = graphReplayer(prepareGraph(traced), { asWords: true });
      const weights = [1, 2].map((seed) => tf.randomNormal([256, 128], 0, 1, "float32", seed));
      for (const [i, w] of [weights[0], weights[0], weights[1], weights[0]].entries()) {
        const x = tf.randomNormal([4, 256], 0, 1, "float32", i + 1);
        const [found] = graph.run([x, w]);
        assertClose(found, tf.relu(tf.add(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D), bias)), 1e-6, `run ${i}`);
      }
      graph.dispose();
      return Promise.resolve();
    });
  },
});

Deno.test({
  name: "numbers fed as words and cast back bit by bit are the same numbers",
  ignore,
  fn: async () => {
    await useBackend("tensorflow");
    await withoutLeaks(() => {
      const values = Float32Array.of(0, -0, 1, -1.5, NaN, Infinity, 1e-45, 3.4e38);
      const graph = graphBuilder();
      graph.add("Placeholder", [], { dtype: { type: ELEMENT.int32 }, shape: { shape: [2, 4] } }, "words");
      graph.add("Bitcast", ["words"], { T: { type: ELEMENT.int32 }, type: { type: ELEMENT.float32 } }, "numbers");
      const session = openSession(graph.graph);
      const shared = new Float32Array(12);
      shared.set(values, 4);
      for (const tensor of [tf.tensor2d(values, [2, 4]), tf.tensor2d(shared.subarray(4), [2, 4])]) {
        const words = wordsOf(tensor);
        const [{ id, ...made }] = session.run(new Map([["words", words]]), ["numbers"]);
        const back = tensorOf({ id, ...made });
        assertEquals(new Uint32Array(back.dataSync().slice().buffer), new Uint32Array(values.buffer));
        freeHandle(words);
      }
      session.dispose();
      return Promise.resolve();
    });
  },
});
