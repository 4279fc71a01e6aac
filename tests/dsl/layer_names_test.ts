/**
 * A layer's function sees the names of its own parameters and parts, and no others: a slip is found by the compiler, and
 * where names are only known while it runs, by one clear line.
 *
 * @module
 */
import { assertEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import {
  apply,
  defineLayer,
  init,
  key,
  type Layer,
  linear,
  OneloraError,
  ones,
  parameter,
  useBackend,
} from "../../dsl/mod.ts";

/** y = gate * inner(x), with a bias if asked for. */
function gated(bias: boolean): Layer {
  return defineLayer({
    kind: "gated",
    params: { gate: parameter([2], ones), ...(bias ? { shift: parameter([2], ones) } : {}) },
    parts: { inner: linear(3, 2) },
    forward: (self, x) => {
      const y = tf.mul(self.call("inner", x), self.param("gate"));
      return bias ? tf.add(y, self.param("shift")) : y;
    },
  });
}

/** Never run: each line is a slip that the compiler finds. */
export function slips(): readonly Layer[] {
  const declared = { kind: "gated", params: { gate: parameter([2], ones) }, parts: { inner: linear(3, 2) } };
  return [
    // @ts-expect-error a mistyped part
    defineLayer({ ...declared, forward: (self, x) => self.call("iner", x) }),
    // @ts-expect-error a mistyped parameter
    defineLayer({ ...declared, forward: (self, x) => tf.mul(x, self.param("gates")) }),
    // @ts-expect-error a parameter is no part
    defineLayer({ ...declared, forward: (self, x) => self.call("gate", x) }),
    // @ts-expect-error whether a parameter that is not there is trained
    defineLayer({ ...declared, forward: (self, x) => self.trainable("inner") ? x : tf.neg(x) }),
    // @ts-expect-error no parts at all
    defineLayer({ ...declared, parts: {}, forward: (self, x) => self.call("inner", x) }),
  ];
}

Deno.test("declared names run, those of optional parameters too", async () => {
  await useBackend("cpu");
  tf.tidy(() => {
    for (const bias of [true, false]) {
      const layer = gated(bias);
      assertEquals(apply(layer, init(layer, key(0)))(tf.ones([1, 3])).shape, [1, 2]);
    }
  });
});

Deno.test("a name that is only known while the layer runs is told by one line", async () => {
  await useBackend("cpu");
  tf.tidy(() => {
    const names: readonly string[] = ["inner", "outer"];
    const layer: Layer = {
      kind: "chain",
      params: {},
      parts: { inner: linear(3, 3) },
      forward: (self, x) => names.reduce((y, name) => self.call(name, y), x),
    };
    const run = () => apply(layer, init(layer, key(0)))(tf.ones([1, 3]));
    const error = assertThrows(run, OneloraError);
    assertEquals(error.message, 'running layer "": found no part "outer"; allowed: inner');
  });
});
