/**
 * InceptionV3 against the published architecture in plain torch.
 *
 * @module
 */
import { assertEquals, assertLess } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { apply, count, type Params, specs, useBackend } from "../../dsl/mod.ts";
import { openModel } from "../../models/mod.ts";
import { available } from "../support/available.ts";
import { fixture, relativeError, withoutLeaks } from "../support/compare.ts";

/** The reference's numbers from -1 to 1: multiples of the golden ratio, modulo 1. */
function spread(place: number, shape: readonly number[]): Float32Array {
  const size = shape.reduce((product, each) => product * each, 1);
  return Float32Array.from({ length: size }, (_, i) => ((i * 2654435761 + place * 40503) % 2 ** 32) / 2 ** 31 - 1);
}

/** The reference's weights, by the place of each name in their order. */
function weights(shapes: Readonly<Record<string, { readonly shape: readonly number[] }>>): Params {
  return Object.fromEntries(
    Object.keys(shapes).sort().map((name, place) => {
      const { shape } = shapes[name];
      const fan = Math.sqrt(6 / shape.slice(1).reduce((product, each) => product * each, 1));
      const [offset, scale] = name.endsWith("conv.weight")
        ? [0, fan]
        : [/bn\.weight$|running_var$/.test(name) ? 1 : 0, 0.25];
      return [name, tf.tensor(spread(place, shape).map((value) => offset + scale * value), [...shape])];
    }),
  );
}

for (const backend of await available("wasm", "tensorflow")) {
  Deno.test(`features of InceptionV3 equal PyTorch's (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(async () => {
      const { layer, signature } = await openModel("inception-v3-fid");
      assertEquals(signature.outputs, ["features"]);
      const { pixels, features } = await fixture(
        fileOf(new URL("../fixtures/inception-v3.safetensors", import.meta.url)),
      );
      assertLess(relativeError(apply(layer, weights(specs(layer)))(pixels), features), 1e-4);
    });
  });
}

Deno.test("InceptionV3 has the published number of parameters", async () => {
  const { layer } = await openModel("inception-v3-fid");
  const statistics = Object.entries(specs(layer)).filter(([path]) => path.includes("running_"));
  const held = statistics.reduce((sum, [, { shape }]) => sum + shape[0], 0);
  // torchvision's inception_v3 without fc and AuxLogits.
  assertEquals(count(specs(layer)) - held, 21_785_568);
});
