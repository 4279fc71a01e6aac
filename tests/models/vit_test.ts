import { assert, assertEquals, assertRejects } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import {
  apply,
  combine,
  crossEntropy,
  key,
  OneloraError,
  openSafetensors,
  type Path,
  unfreeze,
  useBackend,
  writeSafetensors,
} from "../../dsl/mod.ts";
import { loadParams, openModel, saveModel } from "../../models/mod.ts";
import { keyOf } from "../../models/checkpoint/keys.ts";
import { vitFamily } from "../../models/vit/vit.ts";
import { assertClose, fixture, gradients, withoutLeaks } from "../support/compare.ts";

const backends = ["wasm", "cpu"] as const;
const folder = (name: string) => fileOf(new URL(`../fixtures/${name}`, import.meta.url));

for (const backend of backends) {
  for (const name of ["vit-grey", "vit-rgb", "vit-oblong"]) {
    Deno.test(`${name} equals transformers: hidden states, logits, loss, every gradient (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const model = await openModel(folder(name));
        const { params } = await loadParams(model, key(0));
        const expected = await fixture(`${folder(name)}/expected.safetensors`);
        const hidden = new Map<Path, tf.Tensor>();
        const tap = (path: Path, output: unknown) => hidden.set(path, output as tf.Tensor);
        const logits = apply(model.layer, params, { tap })(expected.pixel_values);
        assertClose(logits, expected.logits, 1e-5, "logits");
        assertClose(hidden.get("embeddings")!, expected["hidden.0"], 1e-5, "embeddings");
        for (let block = 0; expected[`hidden.${block + 1}`] !== undefined; block++) {
          assertClose(hidden.get(`encoder.layer.${block}`)!, expected[`hidden.${block + 1}`], 1e-5, `block ${block}`);
        }
        const trained = unfreeze(() => true)(model.layer);
        const loss = (p: typeof params) =>
          crossEntropy(apply(trained, p)(expected.pixel_values), expected.labels) as tf.Scalar;
        assertClose(loss(params), expected.loss, 1e-5, "loss");
        for (const [path, gradient] of Object.entries(gradients(loss, params))) {
          assertClose(gradient, expected[`grad.${keyOf(model.keys, path)}`], 1e-5, `gradient of ${path}`);
        }
      });
    });
  }
}

Deno.test("a headless checkpoint loads without prefix, its pooler ignored, its head initialised", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const model = await openModel(folder("vit-headless"), { labels: ["a", "b", "c", "d", "e", "f", "g"] });
    const { params, initialised } = await loadParams(model, key(0));
    assertEquals(initialised, ["classifier.weight", "classifier.bias"]);
    assertEquals(params["classifier.weight"].shape, [7, 32]);
    const expected = await fixture(`${folder("vit-headless")}/expected.safetensors`);
    const hidden = new Map<Path, tf.Tensor>();
    apply(model.layer, params, { tap: (path, output) => hidden.set(path, output as tf.Tensor) })(expected.pixel_values);
    const first = tf.squeeze(tf.slice(expected.last_hidden_state, [0, 0, 0], [-1, 1, -1]), [1]);
    assertClose(hidden.get("layernorm")!, first, 1e-5, "layernorm of the class token");
  });
});

Deno.test("the token of masked training, which classifiers do not use, is ignored", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.copyFile(`${folder("vit-rgb")}/config.json`, `${directory}/config.json`);
    await using file = await openSafetensors(`${folder("vit-rgb")}/model.safetensors`);
    const tensors = await Promise.all(file.names.map(async (name) => [name, await file.read(name)] as const));
    const token = { dtype: "F32", shape: [1, 1, 32], data: new Float32Array(32) } as const;
    await writeSafetensors(`${directory}/model.safetensors`, [...tensors, ["vit.embeddings.mask_token", token]]);
    const { params, initialised } = await loadParams(await openModel(directory), key(0));
    assertEquals(initialised, []);
    tf.dispose(params as Record<string, tf.Tensor>);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a saved model is a Hugging Face folder that loads again bit by bit", async () => {
  await useBackend("wasm");
  const directory = await Deno.makeTempDir();
  await withoutLeaks(async () => {
    const model = await openModel(folder("vit-rgb"));
    const { params } = await loadParams(model, key(0));
    await saveModel(model, params, directory);
    const again = await openModel(directory);
    const { params: reread } = await loadParams(again, key(1));
    assertEquals(again.config, model.config);
    for (const path of Object.keys(params)) assertEquals(reread[path].dataSync(), params[path].dataSync());
  });
  await Deno.remove(directory, { recursive: true });
});

Deno.test("missing, unexpected and misshapen tensors are named", async () => {
  await useBackend("cpu");
  const directory = await Deno.makeTempDir();
  await withoutLeaks(async () => {
    const model = await openModel(folder("vit-rgb"));
    const { params } = await loadParams(model, key(0));
    const { "layernorm.bias": bias, ...rest } = params;
    const cases: readonly [string, Record<Path, tf.Tensor>][] = [
      ["vit.layernorm.bias", { ...rest, "layernorm.bias": tf.zeros([3]) }],
    ];
    assert(bias !== undefined);
    for (const [named, tensors] of cases) {
      await saveModel(model, combine(tensors), directory);
      await assertRejects(
        async () => await loadParams(await openModel(directory), key(0)),
        OneloraError,
        named,
      );
    }
  });
  await Deno.remove(directory, { recursive: true });
});

Deno.test("an unknown model names the presets", async () => {
  const error = await assertRejects(() => openModel("vit-bass"), OneloraError, "vit-base");
  assertEquals(error.exitCode, 2);
});

Deno.test("label2id that has other ids than id2label is named in a note; names that id2label has not are no matter", () => {
  const notes = (label2id: unknown) =>
    vitFamily.read({ id2label: { 0: "cat", 1: "dog", 2: "dog" }, label2id }, {}).notes;
  assertEquals(notes({ cat: 1, dog: 0 }), [
    'config.json: "label2id" has "cat" as 1, "id2label" as 0, which counts',
  ]);
  for (const same of [undefined, { cat: 0, dog: 1 }, { cat: 0, dog: 2 }, { LABEL_0: 0, LABEL_1: 1 }]) {
    assertEquals(notes(same), []);
  }
});
