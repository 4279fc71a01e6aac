/**
 * The laws every adapter obeys, for all of them at once, on the ViT of the fixtures: identity at init, gradients equal to
 * PyTorch's and to finite differences, merged equal to unmerged, unmerge restores, counts, training trajectories.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt, mergeParams, methodNames } from "../../adapters/mod.ts";
import {
  adamw,
  apply,
  combine,
  count,
  crossEntropy,
  init,
  isTrainable,
  key,
  type Layer,
  mapTree,
  OneloraError,
  type Params,
  partition,
  specs,
  useBackend,
} from "../../dsl/mod.ts";
import { loadParams, type Model, openModel } from "../../models/mod.ts";
import { methods, variedMethods } from "../support/adapter_methods.ts";
import { assertClose, fixture, gradients, relativeError, withoutLeaks } from "../support/compare.ts";

interface Expected {
  readonly trainable: number;
  readonly head: number;
  readonly loss: number;
  readonly trajectory: readonly number[];
}
const root = fileOf(new URL("../fixtures", import.meta.url));
const table: {
  readonly optimiser: { readonly lr: number; readonly weight_decay: number };
  readonly methods: Readonly<Record<string, Expected>>;
} = JSON.parse(await Deno.readTextFile(`${root}/adapters/methods.json`));

Deno.test("every method of the fixtures is covered", () => {
  assertEquals(Object.keys(methods).sort(), Object.keys(table.methods).sort());
});

/** The adapted model with its base weights, at init or with the fixture's values laid over. */
async function adapted(spec: string, over: Params = {}): Promise<{ model: Model; layer: Layer; params: Params }> {
  const model = await openModel(`${root}/vit-rgb`);
  const { params: base } = await loadParams(model, key(0));
  const layer = adapt(`${spec}+head`)(model.layer);
  return { model, layer, params: init(layer, key(0), { ...base, ...over }) };
}

const batch = () => fixture(`${root}/vit-rgb/expected.safetensors`);

function lossOf(layer: Layer, images: tf.Tensor, labels: tf.Tensor, frozen: Params): (trained: Params) => tf.Scalar {
  return (trained) => crossEntropy(apply(layer, combine(trained, frozen))(images), labels) as tf.Scalar;
}

for (const backend of ["wasm", "cpu"] as const) {
  for (const name of backend === "wasm" ? Object.keys(methods) : variedMethods) {
    const spec = methods[name];
    const file = `${root}/adapters/${name}.safetensors`;

    Deno.test(`${name}: bit-identical to the base model at init (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const { model, layer, params } = await adapted(spec);
        const { pixel_values } = await batch();
        assertEquals(
          apply(layer, params)(pixel_values).dataSync(),
          apply(model.layer, params)(pixel_values).dataSync(),
        );
      });
    });

    Deno.test(`${name}: logits, loss and gradients equal PyTorch's (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const { layer, params } = await adapted(spec, await fixture(file, "point."));
        const expected = await fixture(file);
        const { pixel_values, labels } = await batch();
        assertClose(apply(layer, params)(pixel_values), expected.logits, 1e-5, "logits");
        const { kept, rest } = partition<tf.Tensor>(isTrainable(layer))(params);
        const loss = lossOf(layer, pixel_values, labels, rest);
        assertClose(loss(kept), expected.loss, 1e-5, "loss");
        const found = gradients(loss, kept);
        const wanted = await fixture(file, "grad.");
        assertEquals(Object.keys(found).sort(), Object.keys(wanted).sort());
        for (const path of Object.keys(found)) assertClose(found[path], wanted[path], 2e-5, `gradient of ${path}`);
      });
    });

    Deno.test(`${name}: merged equals unmerged and PyTorch's merge, and unmerge restores (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const { model, layer, params } = await adapted(spec, await fixture(file, "point."));
        const { pixel_values } = await batch();
        const merged = mergeParams(layer, params);
        assertEquals(Object.keys(merged.params).sort(), Object.keys(specs(model.layer)).sort());
        assertClose(
          apply(model.layer, merged.params)(pixel_values),
          apply(layer, params)(pixel_values),
          1e-5,
          "logits of the merged model",
        );
        for (const [path, tensor] of Object.entries(await fixture(file, "merged."))) {
          assertClose(merged.params[path], tensor, 1e-5, `merged ${path}`);
        }
        const restored = merged.unmerge();
        for (const path of Object.keys(specs(model.layer))) {
          assertClose(restored[path], params[path], 1e-5, `unmerged ${path}`);
        }
      });
    });
  }
}

for (const [name, spec] of Object.entries(methods)) {
  const file = `${root}/adapters/${name}.safetensors`;

  Deno.test(`${name}: trainable parameters have the closed form's count`, async () => {
    const model = await openModel(`${root}/vit-rgb`);
    const { kept } = partition<{ shape: readonly number[]; trainable: boolean }>((_, { trainable }) => trainable)(
      specs(adapt(spec)(model.layer)),
    );
    assertEquals(count(kept), table.methods[name].trainable);
  });

  Deno.test(`${name}: ten AdamW steps follow PyTorch's and move only trainable parameters`, async () => {
    await useBackend("wasm");
    await withoutLeaks(async () => {
      const { layer, params } = await adapted(spec, await fixture(file, "init."));
      const { pixel_values, labels } = await batch();
      const { kept, rest } = partition<tf.Tensor>(isTrainable(layer))(params);
      const frozen = Object.fromEntries(
        Object.entries(rest).map(([path, tensor]) => [path, tensor.dataSync().slice()]),
      );
      const loss = lossOf(layer, pixel_values, labels, rest);
      const optimiser = adamw({ weightDecay: table.optimiser.weight_decay });
      let [trained, state] = [kept, optimiser.init(kept)];
      const losses: number[] = [];
      for (let step = 0; step <= 10; step++) {
        losses.push(loss(trained).dataSync()[0]);
        const next = optimiser.update(gradients(loss, trained), state, trained, tf.scalar(table.optimiser.lr));
        [trained, state] = [next.params, next.state];
      }
      table.methods[name].trajectory.forEach((expected, step) => {
        assert(
          Math.abs(losses[step] - expected) <= 1e-4 * Math.max(1, expected),
          `step ${step}: ${losses[step]}, ${expected}`,
        );
      });
      for (const path of Object.keys(rest)) assertEquals(rest[path].dataSync(), frozen[path] as never, path);
      for (const path of Object.keys(kept)) {
        // A key bias shifts all scores alike, which the softmax does not see: its gradient is zero.
        if (!/key\.(bias|scale)|attention\.key\.bias/.test(path)) {
          assert(relativeError(trained[path], kept[path]) > 0, path);
        }
      }
    });
  });
}

Deno.test("gradients equal finite differences for every method", async () => {
  await useBackend("cpu");
  for (const [name, spec] of Object.entries(methods)) {
    await withoutLeaks(async () => {
      const { layer, params } = await adapted(spec, await fixture(`${root}/adapters/${name}.safetensors`, "point."));
      const { pixel_values, labels } = await batch();
      const { kept, rest } = partition<tf.Tensor>(isTrainable(layer))(params);
      const loss = lossOf(layer, pixel_values, labels, rest);
      // DoRA's gradient holds the row norms constant, so only its magnitudes follow the true slope.
      const moving = partition<tf.Tensor>((path) => !/dora\.[AB]$/.test(path))(kept);
      const found = gradients((some) => loss(combine(some, moving.rest)), moving.kept);
      // Along the gradient itself the loss changes by step * |gradient|^2.
      const squared = Object.values(found).reduce((sum, g) => sum + tf.sum(tf.square(g)).dataSync()[0], 0);
      const step = 1e-3 / Math.sqrt(squared);
      const at = (sign: number) =>
        loss(
          combine(
            moving.rest,
            mapTree((p: tf.Tensor, path) => tf.add(p, tf.mul(found[path], sign * step)))(moving.kept),
          ),
        )
          .dataSync()[0];
      const slope = (at(1) - at(-1)) / (2 * step);
      assert(Math.abs(slope / squared - 1) < 1e-2, `${name}: slope ${slope}, |gradient|^2 ${squared}`);
    });
  }
});

Deno.test("unknown methods, settings, values and targets are usage errors", async () => {
  const model = await openModel(`${root}/vit-rgb`);
  for (
    const spec of ["1lor", "lora:rang=2", "lora:rank=0", "lora:rank=1.5", "1lora+1lora", "1lora:compression=mean", ""]
  ) {
    const error = assertThrows(() => adapt(spec), OneloraError);
    assertEquals(error.exitCode, 2, spec);
  }
  const error = assertThrows(() => adapt("1lora", { target: "q_proj" })(model.layer), OneloraError, "q_proj");
  assertEquals(error.exitCode, 2);
  assert(methodNames.includes("1lora"));
});
