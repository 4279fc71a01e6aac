/**
 * Dropout of LoRA and DoRA: PEFT's training forward with the same masks, and what a mask must be: the same for the same words and
 * path everywhere, another for others, right on average, and none in evaluations.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt, at, loadAdapter, lora, mergeParams, parseMethods, saveAdapter } from "../../adapters/mod.ts";
import {
  apply,
  combine,
  compile,
  convLayer,
  crossEntropy,
  drawing,
  drawWords,
  fold,
  init,
  isTrainable,
  key,
  type Layer,
  linear,
  mapTree,
  OneloraError,
  type Params,
  partition,
  rematerialiseBlocks,
  serial,
  useBackend,
  valueAndGradients,
} from "../../dsl/mod.ts";
import { drawAt } from "../../dsl/draw.ts";
import { dropoutMask } from "../../dsl/ops/dropout.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { planTraining } from "../../tasks/mod.ts";
import { available } from "../support/available.ts";
import { assertClose, fixture, gradients, withoutLeaks } from "../support/compare.ts";

const root = fileOf(new URL("../fixtures", import.meta.url));

/** The words of dropout.py. */
const words = () => drawWords({ high: 123456789, low: 2 ** 32 - 5 });

/** Fixture name -> specification of the same method. */
const methods = { "lora-r4": "lora:rank=4,alpha=8", "dora-r2": "dora:rank=2,alpha=8" };

const backends = await available("wasm", "cpu", "tensorflow");

async function adapted(spec: string, over: Params, change: (layer: Layer) => Layer = (layer) => layer) {
  const model = await openModel(`${root}/vit-rgb`);
  const { params: base } = await loadParams(model, key(0));
  const layer = adapt(`${spec}+head`)(model.layer);
  const params = init(layer, key(0), { ...base, ...over });
  return { model, layer: change(layer), params };
}

/** Loss and gradients, eagerly or compiled. */
async function differentiated(layer: Layer, params: Params, compiled: boolean) {
  const { pixel_values, labels } = await fixture(`${root}/vit-rgb/expected.safetensors`);
  const { kept, rest } = partition<tf.Tensor>(isTrainable(layer))(params);
  const step = (trained: Params, frozen: Params, words: tf.Tensor, images: tf.Tensor): Params => {
    const { loss, gradients } = valueAndGradients((moving) => ({
      loss: crossEntropy(apply(layer, drawing(combine(moving, frozen), words))(images), labels) as tf.Scalar,
    }))(trained);
    return { loss, ...gradients };
  };
  if (!compiled) return step(kept, rest, words(), pixel_values);
  const run = compile(step, { graph: true });
  try {
    return run(kept, rest, words(), pixel_values);
  } finally {
    run.dispose();
  }
}

const bytes = (params: Params) => mapTree((tensor: tf.Tensor) => tensor.dataSync().slice())(params);

for (const backend of backends) {
  Deno.test(`a mask is what the reference draws, computed and compiled (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(async () => {
      const { mask } = await fixture(`${root}/dropout/mask.safetensors`);
      const draw = (words: tf.Tensor) =>
        dropoutMask([4, 8], { rate: 0.3, draw: drawAt(drawing({}, words), "example.lora")! });
      const compiled = compile(draw, { graph: true });
      assertEquals([...draw(words()).dataSync()], [...mask.dataSync()]);
      assertEquals([...compiled(words()).dataSync()], [...mask.dataSync()]);
      // Large ones are compiled kernels where there are such.
      const large = (words: tf.Tensor) =>
        tf.mul(dropoutMask([300, 200], { rate: 0.3, draw: drawAt(drawing({}, words), "large")! }), 2);
      const both = compile(large, { graph: true });
      assertEquals(both(words()).dataSync(), large(words()).dataSync());
      compiled.dispose();
      both.dispose();
    });
  });

  for (const [name, spec] of Object.entries(methods)) {
    Deno.test(`${name} with dropout: loss and gradients equal PEFT's with the same masks (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const file = `${root}/dropout/${name}.safetensors`;
        const point = await fixture(`${root}/adapters/${name}.safetensors`, "point.");
        const { layer, params } = await adapted(`${spec},dropout=0.3`, point);
        const eager = await differentiated(layer, params, false);
        const { loss } = await fixture(file);
        assertClose(eager.loss, loss, 1e-5, "loss");
        for (const [path, wanted] of Object.entries(await fixture(file, "grad."))) {
          assertClose(eager[path], wanted, 2e-5, `gradient of ${path}`);
        }
        const compiled = await differentiated(layer, params, true);
        // A graph sums in another order.
        if (backend === "tensorflow") {
          for (const path of Object.keys(eager)) assertClose(compiled[path], eager[path], 2e-5, path);
        } else assertEquals(bytes(compiled), bytes(eager));
        const again = await adapted(`${spec},dropout=0.3`, point, rematerialiseBlocks);
        const lean = await differentiated(again.layer, again.params, true);
        for (const path of Object.keys(eager)) assertClose(lean[path], compiled[path], 2e-5, `recomputed ${path}`);
      });
    });
  }
}

for (const [name, spec] of Object.entries(methods)) {
  Deno.test(`${name} with dropout: identity at init; none in evaluations and merged weights`, async () => {
    await useBackend("wasm");
    await withoutLeaks(async () => {
      const { pixel_values } = await fixture(`${root}/vit-rgb/expected.safetensors`);
      const start = await adapted(`${spec},dropout=0.3`, {});
      const base = apply(start.model.layer, start.params)(pixel_values);
      assertEquals(apply(start.layer, drawing(start.params, words()))(pixel_values).dataSync(), base.dataSync());
      const point = await fixture(`${root}/adapters/${name}.safetensors`, "point.");
      const { model, layer, params } = await adapted(`${spec},dropout=0.3`, point);
      const plain = await adapted(spec, point);
      const expected = apply(plain.layer, params)(pixel_values);
      assertEquals(apply(layer, params)(pixel_values).dataSync(), expected.dataSync());
      assertNotEquals(apply(layer, drawing(params, words()))(pixel_values).dataSync(), expected.dataSync());
      assertClose(apply(model.layer, mergeParams(layer, params).params)(pixel_values), expected, 1e-5, "merged");
    });
  });

  Deno.test(`${name} with dropout: one layer is right on average, and its gradients are its slopes`, async () => {
    await useBackend("cpu");
    await withoutLeaks(() => {
      const layer = adapt(`${spec},dropout=0.25`)(linear(12, 6));
      const start = init(layer, key(1));
      const params = mapTree((tensor: tf.Tensor, path) =>
        path.endsWith(".B") ? tf.add(tensor, tf.randomNormal(tensor.shape, 0, 0.3, "float32", 2)) : tensor
      )(start);
      const x = tf.randomNormal([3, 12], 0, 1, "float32", 3);
      const expected = apply(layer, params)(x);
      const [draws, sum] = [400, tf.zeros(expected.shape)];
      const mean = Array.from({ length: draws }, (_, i) => apply(layer, drawing(params, drawWords(fold(key(9), i))))(x))
        .reduce((total, y) => tf.add(total, tf.div(y, draws)), sum);
      assertClose(mean, expected, 0.06, "mean");
      const { kept, rest } = partition<tf.Tensor>(isTrainable(layer))({ ...params });
      const moving: Params = { ...kept, x };
      const loss = ({ x, ...some }: Params) =>
        tf.sum(tf.square(apply(layer, drawing(combine(some, rest), words()))(x as tf.Tensor))) as tf.Scalar;
      const found = gradients(loss, moving);
      // Norms of DoRA are constants in the gradient, so only inputs and magnitudes follow the slope.
      for (const path of Object.keys(moving).filter((path) => !/dora\.[AB]$/.test(path))) {
        const squared = tf.sum(tf.square(found[path])).dataSync()[0];
        const step = 3e-3 / Math.sqrt(squared);
        const by = (sign: number) =>
          loss({ ...moving, [path]: tf.add(moving[path], tf.mul(found[path], sign * step)) }).dataSync()[0];
        assertAlmostEquals((by(1) - by(-1)) / (2 * step) / squared, 1, 1e-2, path);
      }
      return Promise.resolve();
    });
  });
}

Deno.test("masks: a share of ones, no two layers' or steps' alike, a share of 0 draws none", async () => {
  await useBackend("cpu");
  await withoutLeaks(() => {
    const at = (path: string, step: number, rate: number) => {
      const draw = drawAt(drawing({}, drawWords(fold(key(0), step))), path)!;
      return dropoutMask([200, 300], { rate, draw }).dataSync();
    };
    const share = (mask: ArrayLike<number>) => Array.from(mask).reduce((sum, each) => sum + each, 0) / mask.length;
    for (const rate of [0, 0.05, 0.5, 0.9]) assertAlmostEquals(share(at("a", 1, rate)), 1 - rate, 0.008);
    const [one, ...others] = [at("a", 1, 0.5), at("b", 1, 0.5), at("a", 2, 0.5)];
    for (const other of others) assertAlmostEquals(share(one.map((each, i) => each === other[i] ? 1 : 0)), 0.5, 0.01);
    // Neither rows nor columns nor diagonals go together.
    for (const lag of [1, 2, 299, 300, 301, 600]) {
      const pairs = one.slice(lag).map((each, i) => each === one[i] ? 1 : 0);
      assertAlmostEquals(share(pairs), 0.5, 0.01, `${lag}`);
    }
    assertEquals(adapt("lora:dropout=0")(linear(2, 2)).draws, false);
    return Promise.resolve();
  });
});

Deno.test("LoRA on a convolution drops its inputs out before A, and no bias twice", async () => {
  await useBackend("cpu");
  await withoutLeaks(() => {
    const model = serial({ conv: convLayer(2, 3, 3, {}) });
    const layer = at("conv", lora({ rank: 2, dropout: 0.4 }))(model);
    const params = mapTree((tensor: tf.Tensor, path) => tf.add(tensor, path.endsWith("bias") ? 0.5 : 0.1))(
      init(layer, key(3)),
    );
    const x = tf.randomNormal([2, 5, 5, 2], 0, 1, "float32", 4);
    const draw = drawAt(drawing({}, words()), "conv.lora")!;
    const left = tf.div(tf.mul(x, dropoutMask(x.shape, { rate: 0.4, draw })), 0.6);
    const noBias = { ...params, "conv.bias": tf.zeros([3]) };
    const change = tf.sub(apply(layer, noBias)(left), apply(model, noBias)(left));
    const expected = tf.add(apply(model, params)(x), change);
    assertClose(apply(layer, drawing(params, words()))(x), expected, 1e-5, "y");
    return Promise.resolve();
  });
});

Deno.test("dropout is a setting of LoRA and DoRA and of specifications with one of them", async () => {
  assertEquals(parseMethods("lora+norms", { dropout: 0.1 })[0].options, { dropout: 0.1 });
  assertEquals(parseMethods("rslora:dropout=0.2", { dropout: 0.1 })[0].options, { rslora: true, dropout: 0.2 });
  for (const spec of ["1lora", "vera", "mora6+norms", "bitfit", "ia3", "all"]) {
    const error = assertThrows(() => adapt(spec, { dropout: 0.1 }), OneloraError, `adapter "${spec}"`);
    assertEquals(error.exitCode, 2);
    assertThrows(() => adapt(`${spec}:dropout=0.1`), OneloraError, "dropout");
  }
  for (const wrong of ["1", "-0.1", "x", ""]) {
    assertThrows(() => adapt(`lora:dropout=${wrong}`), OneloraError, "a number at least 0 and below 1");
  }
  const model = await openModel(`${root}/vit-rgb`);
  const size = { batch: 2, length: 0, backend: "cpu" } as const;
  const [with_, without] = ["lora:dropout=0.5", "lora"].map((spec) =>
    planTraining(model, adapt(spec)(model.layer), size)
  );
  assert(with_.peakBytes >= without.peakBytes);
});

Deno.test("lora_dropout of adapter_config.json is read, and written again", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const source = `${root}/peft-settings/vit-rgb/all-linear`;
    for await (const { name } of Deno.readDir(source)) await Deno.copyFile(`${source}/${name}`, `${folder}/${name}`);
    const path = `${folder}/adapter_config.json`;
    const json = JSON.parse(await Deno.readTextFile(path));
    await useBackend("cpu");
    const model = await openModel(`${root}/vit-rgb`);
    const load = async (lora_dropout: unknown) => {
      await Deno.writeTextFile(path, JSON.stringify({ ...json, lora_dropout }));
      return await loadAdapter(folder, model.layer, model.modules);
    };
    const { config, layer, params } = await load(0.05);
    assertEquals(config.dropout, 0.05);
    assert([...Object.values(layer.parts)].length > 0);
    tf.dispose(params as Record<string, tf.Tensor>);
    // In PEFT's layout and in this package's own, as a setting of the run or of the method.
    for (const [adapter, dropout] of [["lora", 0.1], ["dora:dropout=0.1"], ["lora+bitfit", 0.1]] as const) {
      const spec = { adapter, dropout };
      const layer = adapt(adapter, spec)(model.layer);
      const { params: base } = await loadParams(model, key(0));
      const params = init(layer, key(0), base);
      await saveAdapter(`${folder}/saved`, { layer, params, spec, names: model.modules, baseModel: "vit-rgb" });
      const again = await loadAdapter(`${folder}/saved`, model.layer, model.modules);
      assertEquals(parseMethods(again.config.adapter, again.config)[0].options.dropout, 0.1, adapter);
      tf.dispose([params, again.params] as unknown as tf.TensorContainer);
    }
    for (const wrong of [1, -1, "0.1"]) {
      const error = await load(wrong).then(() => undefined, (error) => error);
      assert(error instanceof OneloraError && error.message.includes("lora_dropout"), `${wrong}: ${error}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
