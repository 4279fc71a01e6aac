/** DeiT, DINOv2 and CLIP's vision model as classifiers: transformers' numbers, files, heads, adapters, preparation. @module */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt } from "../../adapters/mod.ts";
import { apply, count, crossEntropy, key, OneloraError, specs, unfreeze, useBackend } from "../../dsl/mod.ts";
import { interpolate } from "../../dsl/ops/interpolate.ts";
import { openSafetensors, toFloat32, writeSafetensors } from "../../dsl/safetensors/mod.ts";
import { type Json, loadParams, openModel, saveModel } from "../../models/mod.ts";
import { keyOf } from "../../models/checkpoint/keys.ts";
import { clipFamily } from "../../models/clip/clip.ts";
import { dinov2Family, dinov2WithRegistersFamily } from "../../models/dinov2/classifier.ts";
import { deitFamily } from "../../models/vit/deit.ts";
import { planTraining, requireTask } from "../../tasks/kinds.ts";
import { methods } from "../support/adapter_methods.ts";
import { assertMerges, assertTrains } from "../support/classifier_rounds.ts";
import { assertClose, fixture, gradients, withoutLeaks } from "../support/compare.ts";

const names = ["deit-teacher", "deit-one", "dinov2-plain", "dinov2-registers", "clip-vision"];
const folder = (name: string) => fileOf(new URL(`../fixtures/${name}`, import.meta.url));

async function opened(name: string) {
  const model = await openModel(folder(name));
  const { params } = await loadParams(model, key(0));
  return { model, params, expected: await fixture(`${folder(name)}/expected.safetensors`) };
}

for (const name of names) {
  for (const backend of ["wasm", "cpu"] as const) {
    Deno.test(`${name} equals transformers: logits, loss, every gradient (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const { model, params, expected } = await opened(name);
        assertClose(apply(model.layer, params)(expected.pixel_values), expected.logits, 1e-5, "logits");
        for (const i of [0, 1, 2]) {
          const other = expected[`other.${i}.pixel_values`];
          if (other === undefined) continue;
          assertClose(apply(model.layer, params)(other), expected[`other.${i}.logits`], 1e-5, `${other.shape}`);
        }
        const trained = unfreeze(() => true)(model.layer);
        const loss = (p: typeof params) =>
          crossEntropy(apply(trained, p)(expected.pixel_values), expected.labels) as tf.Scalar;
        assertClose(loss(params), expected.loss, 1e-5, "loss");
        const found = gradients(loss, params);
        // A token of masked training, in files and in the reference's parameters.
        const keys = Object.keys(expected).filter((each) => each.startsWith("grad."));
        assertEquals(Object.keys(found).map((path) => `grad.${keyOf(model.keys, path)}`).sort(), keys.sort());
        for (const [path, gradient] of Object.entries(found)) {
          assertClose(gradient, expected[`grad.${keyOf(model.keys, path)}`], 2e-5, `gradient of ${path}`);
        }
      });
    });
  }

  Deno.test(`${name}: saved and read again bit by bit; every method starts as the model, merges and is planned`, async () => {
    await useBackend("wasm");
    await withoutLeaks(async () => {
      const { model, params: base, expected: { pixel_values: pixels, logits } } = await opened(name);
      const at = await Deno.makeTempDir();
      try {
        await saveModel(model, base, at);
        const again = await openModel(at);
        assertEquals(again.config, model.config);
        const { params: reread, initialised } = await loadParams(again, key(1));
        assertEquals(initialised, []);
        for (const path of Object.keys(base)) assertEquals(reread[path].dataSync(), base[path].dataSync(), path);
      } finally {
        await Deno.remove(at, { recursive: true });
      }
      const fc2 = name.startsWith("deit") ? "**.{output}.dense" : "**.mlp.fc2";
      for (const spec of Object.values({ ...methods, ia3: `ia3:feedforward=${fc2}` })) {
        await assertMerges(model, spec, base, { pixels, logits });
      }
      if (model.image!.height === model.image!.width) {
        assert(planTraining(model, adapt("1lora")(model.layer), { batch: 2, length: 0 }).trained > 0);
      }
      // Six linear layers a block, and no more: neither heads nor embeddings.
      const adapted = Object.keys(specs(adapt("1lora")(model.layer))).filter((path) => path.endsWith(".1lora.b"));
      assertEquals(adapted.length, 12);
      assertEquals(requireTask(model, "").name, "image-classification");
    });
  });
}

Deno.test("every model is trained with its head, saved, loaded, merged and predicts as it did", async () => {
  for (const name of names.filter((each) => each !== "deit-one")) {
    await useBackend("wasm");
    await withoutLeaks(() => assertTrains(folder(name), "lora"));
  }
});

Deno.test("a file of the whole CLIP opens as a classifier with a head of its own", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const model = await openModel(folder("clip-whole"), { labels: ["a", "b", "c"] });
    const { params, initialised } = await loadParams(model, key(0));
    assertEquals(initialised, ["classifier.weight", "classifier.bias"]);
    const { pixel_values, mean } = await fixture(`${folder("clip-whole")}/expected.safetensors`);
    const logits = tf.add(
      tf.matMul(mean as tf.Tensor2D, params["classifier.weight"] as tf.Tensor2D, false, true),
      params["classifier.bias"],
    );
    assertClose(apply(model.layer, params)(pixel_values), logits, 1e-5, "logits");
  });
});

Deno.test("files of DINOv2's original repository open under their preset, with a head that starts anew", async () => {
  await useBackend("cpu");
  for (const name of ["dinov2-plain", "dinov2-registers"]) {
    await withoutLeaks(async () => {
      const { model, params: base, expected } = await opened(name);
      await using published = await openSafetensors(folder(name));
      const tensors = new Map<string, { dtype: "F32"; shape: readonly number[]; data: Float32Array }>();
      const read = async (key: string) => toFloat32(await published.read(key));
      for (const key of published.names) {
        if (key.startsWith("classifier") || /key|value/.test(key)) continue;
        const shape = published.info(key).shape;
        const all = key.includes("query") ? ["query", "key", "value"].map((part) => key.replace("query", part)) : [key];
        const data = new Float32Array((await Promise.all(all.map(read))).flatMap((each) => [...each]));
        const original = key.replace(/^dinov2(_with_registers)?\./, "")
          .replace("encoder.layer", "blocks").replace("attention.attention.query", "attn.qkv")
          .replace("attention.output.dense", "attn.proj").replace(/layer_scale(.).lambda1/, "ls$1.gamma")
          .replace("embeddings.patch_embeddings.projection", "patch_embed.proj").replace("layernorm", "norm")
          .replace("embeddings.position_embeddings", "pos_embed").replace("embeddings.", "");
        tensors.set(original, { dtype: "F32", shape: [shape[0] * all.length, ...shape.slice(1)], data });
      }
      const at = await Deno.makeTempDir();
      try {
        await writeSafetensors(`${at}/original.safetensors`, [...tensors]);
        const from = { ...model, folder: `${at}/original.safetensors` };
        const { params, initialised } = await loadParams(from, key(0));
        assertEquals(initialised, ["classifier.weight", "classifier.bias"]);
        const whole = {
          ...params,
          "classifier.weight": base["classifier.weight"],
          "classifier.bias": base["classifier.bias"],
        };
        assertClose(apply(model.layer, whole)(expected.pixel_values), expected.logits, 1e-5, name);
      } finally {
        await Deno.remove(at, { recursive: true });
      }
    });
  }
});

Deno.test("presets have the numbers of parameters that transformers counts", async () => {
  const counts: Readonly<Record<string, number>> = JSON.parse(
    await Deno.readTextFile(new URL("../fixtures/vision-counts.json", import.meta.url)),
  );
  assertEquals(Object.keys(counts).length, 10);
  for (const [preset, total] of Object.entries(counts)) {
    assertEquals(count(specs((await openModel(preset)).layer)), total, preset);
  }
});

Deno.test("pictures come as the preprocessor's file says, else as transformers' class for the family", async () => {
  const at = await Deno.makeTempDir();
  const prepared = async (name: string, json: Json | undefined) => {
    await Deno.copyFile(`${folder(name)}/config.json`, `${at}/config.json`);
    const file = `${at}/preprocessor_config.json`;
    if (json === undefined) await Deno.remove(file).catch(() => {});
    else await Deno.writeTextFile(file, JSON.stringify(json));
    return (await openModel(at)).image!;
  };
  try {
    // DINOv2 takes pictures of any size: the file's crop decides, whatever its positions are for.
    const cropped = { size: { shortest_edge: 30 }, crop_size: { height: 24, width: 24 } };
    const dino = await prepared("dinov2-plain", cropped);
    assertEquals([dino.height, dino.width, dino.preparation?.crop], [24, 24, { height: 24, width: 24 }]);
    assertEquals(dino.preparation?.resize, { kind: "shortest", side: 30 });
    const deit = await prepared("deit-teacher", { size: 15, crop_size: 12 });
    assertEquals(deit.preparation?.resize, { kind: "exact", height: 15, width: 15 });
    const wrong = await prepared("deit-teacher", {});
    assertStringIncludes(wrong.refused!.message, "224x224");
    const clip = await prepared("clip-vision", { size: 14, crop_size: 14 });
    assertEquals(clip.mean, [0.48145466, 0.4578275, 0.40821073]);
    const alone = await prepared("dinov2-plain", undefined);
    assertEquals([alone.height, alone.preparation?.resize], [16, { kind: "shortest", side: 18 }]);
    assertEquals((await openModel("dinov2-base")).image?.height, 224);
  } finally {
    await Deno.remove(at, { recursive: true });
  }
});

Deno.test("configurations have transformers' defaults; what is not computed is refused by name", () => {
  const read = (family: typeof clipFamily, json: Json) => family.read(json, {}).config as Json;
  assertEquals(read(dinov2WithRegistersFamily, {}).patch_size, 16);
  assertEquals(read(dinov2WithRegistersFamily, {}).num_register_tokens, 4);
  assertEquals(read(deitFamily, {}).architectures, ["DeiTForImageClassification"]);
  assertEquals((read(clipFamily, {}).vision_config as Json).hidden_act, "quick_gelu");
  const refused: readonly (readonly [typeof clipFamily, Json, string])[] = [
    [dinov2Family, { use_swiglu_ffn: true }, "use_swiglu_ffn"],
    [dinov2Family, { image_size: 7 }, "image_size"],
    [dinov2Family, { hidden_size: 10 }, "hidden_size"],
    [dinov2WithRegistersFamily, { num_register_tokens: -1 }, "num_register_tokens"],
    [deitFamily, { architectures: "DeiT" }, "architectures"],
    [clipFamily, { vision_config: { hidden_act: "relu6" } }, "hidden_act"],
    [clipFamily, { vision_config: { image_size: 8 } }, "image_size"],
    [clipFamily, { vision_config_dict: { hidden_size: 8 } }, "vision_config_dict"],
  ];
  for (const [family, json, field] of refused) {
    assertStringIncludes(assertThrows(() => family.read(json, {}), OneloraError).message, `"${field}"`);
  }
});

Deno.test("resampling with antialias keeps a flat picture flat, and one of its own size as it is", async () => {
  await useBackend("cpu");
  await withoutLeaks(() => {
    const x = tf.randomNormal([1, 7, 7, 2], 0, 1, "float32", 1);
    const to = (size: [number, number], of: tf.Tensor) =>
      interpolate(of, { size }, { mode: "bicubic", antialias: true });
    assertClose(to([7, 7], x), x, 1e-6, "the same size");
    for (const size of [[3, 5], [9, 2], [1, 1]] as [number, number][]) {
      assertClose(to(size, tf.ones([1, 7, 7, 2])), tf.ones([1, ...size, 2]), 1e-6, `${size}`);
    }
    return Promise.resolve();
  });
});
