/** The language model's loss some rows at a time: logits are never there for all. */
import * as tf from "@tensorflow/tfjs-core";
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { adapt } from "../../adapters/mod.ts";
import { compile } from "../../dsl/compile/mod.ts";
import { apply, init, isTrainable, key, type Params, partition, useBackend, valueAndGradients } from "../../dsl/mod.ts";
import { type CausalLanguageModel, llama, llamaPresets } from "../../models/mod.ts";
import { lossEnding, responseLoss } from "../../tasks/reasoning/objective.ts";
import { likelihoodEnding } from "../../tasks/text/likelihood.ts";
import { available } from "../support/available.ts";
import { assertClose, withoutLeaks } from "../support/compare.ts";

const VOCABULARY = 50;
const config = {
  ...llamaPresets["llama-micro"],
  ...{ layers: 1, vocabulary: VOCABULARY, hidden: 16, intermediate: 24, heads: 2, keyValueHeads: 1, headSize: 8 },
};

/** Loss and gradients of what is trained, with logits of so many bytes at a time. */
function objective(layer: CausalLanguageModel, bytes?: number) {
  return (trained: Params, frozen: Params, ids: tf.Tensor, labels: tf.Tensor) =>
    valueAndGradients((trained) => {
      const ending = bytes === undefined ? undefined : lossEnding(labels, VOCABULARY, bytes);
      const made = apply(layer, { ...frozen, ...trained })(ids, undefined, { ending });
      return { loss: (ending === undefined ? responseLoss(made, labels) : made) as tf.Scalar };
    })(trained);
}

for (const backend of await available("cpu", "wasm", "tensorflow")) {
  Deno.test(`loss and gradients are those of all logits at once (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(async () => {
      const ids = tf.tensor2d([[5, 1, 7, 9, 2], [3, 3, 8, 0, 0]], undefined, "int32");
      const labels = tf.tensor2d([[-100, -100, 7, 9, 2], [-100, 3, 8, -100, -100]], undefined, "int32");
      for (const [method, tied] of [["all", true], ["all", false], ["lora+head", true], ["1lora", false]] as const) {
        const layer = adapt(method)(llama({ ...config, tied })) as CausalLanguageModel;
        const params = init(layer, key(3));
        const { kept: trained, rest: frozen } = partition<tf.Tensor>(isTrainable(layer))(params);
        // Three parts: of four rows, four rows, and two.
        const [whole, parts] = [undefined, 4 * 4 * VOCABULARY].map((bytes) => compile(objective(layer, bytes)));
        const [expected, found] = [whole, parts].map((f) => f(trained, frozen, ids, labels));
        await found.loss.data();
        assertClose(found.loss, expected.loss, 1e-6, `${method}: loss`);
        for (const [path, gradient] of Object.entries(expected.gradients)) {
          assertClose(found.gradients[path], gradient, 2e-6, `${method}: ${path}`);
        }
        // Nor eagerly, where nothing has a gradient.
        const eager = tf.tidy(() =>
          apply(layer, params)(ids, undefined, { ending: lossEnding(labels, VOCABULARY, 4 * VOCABULARY) })
        );
        assertAlmostEquals((await eager.data())[0], (await expected.loss.data())[0], 1e-5);
        whole.dispose();
        parts.dispose();
        tf.dispose([
          eager,
          params,
          ...[expected, found].flatMap(({ loss, gradients }) => [loss, gradients as Record<string, tf.Tensor>]),
        ]);
      }
      tf.dispose([ids, labels]);
    });
  });
}

for (const backend of await available("cpu", "wasm", "tensorflow")) {
  Deno.test(`the likelihood of each row is that of all logits at once (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(async () => {
      const ids = tf.tensor2d([[5, 1, 7, 9, 2], [3, 3, 8, 0, 0]], undefined, "int32");
      const labels = tf.tensor2d([[-100, -100, 7, 9, 2], [-100, 3, 8, -100, -100]], undefined, "int32");
      for (const tied of [true, false]) {
        const layer = adapt("1lora+head")(llama({ ...config, tied })) as CausalLanguageModel;
        const params = init(layer, key(3));
        const logits = tf.tidy(() => tf.logSoftmax(apply(layer, params)(ids)));
        const scores = await logits.array() as number[][][];
        const expected = [[[2, 7], [3, 9], [4, 2]], [[1, 3], [2, 8]]].map((counted, row) =>
          counted.reduce((sum, [at, token]) => sum + scores[row][at - 1][token], 0)
        );
        // At once, and in three parts: of four rows, four rows, and two.
        for (const bytes of [undefined, 4 * 4 * VOCABULARY]) {
          const f = compile((all: Params, ids: tf.Tensor, labels: tf.Tensor) =>
            apply(layer, all)(ids, undefined, { ending: likelihoodEnding(labels, VOCABULARY, bytes) })
          );
          const made = f.program(params, ids, labels);
          const sizes = made.calls.flatMap(({ outputs }) => outputs.map((value) => made.types[value].shape))
            .filter((shape) => shape.at(-1) === VOCABULARY).map((shape) => tf.util.sizeFromShape([...shape]));
          assertEquals(Math.max(...sizes), (bytes === undefined ? 10 : 4) * VOCABULARY);
          const found = f(params, ids, labels);
          const values = await found.data();
          assertEquals(values.length, 2);
          expected.forEach((value, i) => assertAlmostEquals(values[i], value, 1e-5));
          f.dispose();
          found.dispose();
        }
        tf.dispose([logits, params as tf.TensorContainer]);
      }
      tf.dispose([ids, labels]);
    });
  });
}

Deno.test("no value of a step is as large as all logits, and the peak falls", async () => {
  await useBackend("cpu");
  const layer = adapt("1lora")(llama({ ...config, vocabulary: 4000 })) as CausalLanguageModel;
  const { kept: trained, rest: frozen } = partition<tf.Tensor>(isTrainable(layer))(init(layer, key(3)));
  const [ids, labels] = [tf.zeros([4, 32], "int32"), tf.ones([4, 32], "int32")];
  const [whole, parts] = [undefined, 2 ** 18].map((bytes) => {
    const f = compile((trained: Params, frozen: Params, ids: tf.Tensor, labels: tf.Tensor) =>
      valueAndGradients((trained) => {
        const ending = bytes === undefined ? undefined : lossEnding(labels, 4000, bytes);
        const made = apply(layer, { ...frozen, ...trained })(ids, undefined, { ending });
        return { loss: (ending === undefined ? responseLoss(made, labels) : made) as tf.Scalar };
      })(trained)
    );
    const program = f.program(trained, frozen, ids, labels);
    const { peakBytes, residentBytes } = f.plan(trained, frozen, ids, labels);
    f.dispose();
    const made = program.calls.flatMap(({ outputs }) => outputs.map((value) => program.types[value].shape));
    return {
      largest: Math.max(...made.map((shape) => tf.util.sizeFromShape([...shape]))),
      made: peakBytes - residentBytes,
    };
  });
  assertEquals(whole.largest, 4 * 32 * 4000);
  assert(parts.largest <= 2 ** 16 && parts.made < whole.made / 4, JSON.stringify([whole, parts]));
  assertEquals(lossEnding(labels, 4000), undefined);
  tf.dispose([ids, labels, trained, frozen] as tf.TensorContainer);
});
