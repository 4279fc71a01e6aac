/** ViTs as timm publishes them: timm's numbers, files, heads, pictures; what is not read is refused by name. @module */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import type * as tf from "@tensorflow/tfjs-core";
import { adapt } from "../../adapters/mod.ts";
import { apply, count, crossEntropy, key, OneloraError, specs, unfreeze, useBackend } from "../../dsl/mod.ts";
import { fileOf } from "../../dsl/files/path.ts";
import { openSafetensors, toFloat32, writeSafetensors } from "../../dsl/safetensors/mod.ts";
import { preparationOf } from "../../models/image_input.ts";
import { type Json, loadParams, openModel, saveModel } from "../../models/mod.ts";
import { timmArchitectures } from "../../models/timm/architectures.ts";
import { timmFamily } from "../../models/timm/timm.ts";
import { prepareImage } from "../../tasks/data/prepare.ts";
import { requireTask } from "../../tasks/kinds.ts";
import { methods } from "../support/adapter_methods.ts";
import { assertMerges, assertTrains } from "../support/classifier_rounds.ts";
import { assertClose, fixture, gradients, withoutLeaks } from "../support/compare.ts";

const names = ["class", "mean", "clip", "gap"];
const folder = (name: string) => fileOf(new URL(`../fixtures/timm-${name}`, import.meta.url));
const configOf = async (name: string): Promise<Json> =>
  JSON.parse(await Deno.readTextFile(`${folder(name)}/config.json`));

async function opened(name: string) {
  const model = await openModel(folder(name));
  const { params, initialised } = await loadParams(model, key(0));
  assertEquals([model.notes, initialised], [[], []]);
  return { model, params, expected: await fixture(`${folder(name)}/expected.safetensors`) };
}

for (const name of names) {
  for (const backend of ["wasm", "cpu"] as const) {
    Deno.test(`timm ${name}: timm's logits, loss and every gradient (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const { model, params, expected } = await opened(name);
        assertClose(apply(model.layer, params)(expected.pixel_values), expected.logits, 1e-5, "logits");
        const trained = unfreeze(() => true)(model.layer);
        const loss = (p: typeof params) =>
          crossEntropy(apply(trained, p)(expected.pixel_values), expected.labels) as tf.Scalar;
        assertClose(loss(params), expected.loss, 1e-5, "loss");
        const found = gradients(loss, params);
        const keys = Object.keys(expected).filter((each) => each.startsWith("grad."));
        assertEquals(Object.keys(found).map((path) => `grad.${path}`).sort(), keys.sort());
        for (const [path, gradient] of Object.entries(found)) {
          assertClose(gradient, expected[`grad.${path}`], 2e-5, `gradient of ${path}`);
        }
      });
    });
  }

  Deno.test(`timm ${name}: saved and read again bit by bit; query, key and value apart or as one; every method merges`, async () => {
    await useBackend("wasm");
    await withoutLeaks(async () => {
      const { model, params: base, expected: { pixel_values: pixels, logits } } = await opened(name);
      const at = await Deno.makeTempDir();
      try {
        const split = model.with({ qkv: "split" });
        const { params } = await loadParams(split, key(0));
        assertClose(apply(split.layer, params)(pixels), logits, 1e-5, "three projections");
        // The layout that files come in is kept, whatever the form here.
        await saveModel(split, params, at);
        const again = await openModel(at);
        assertEquals(again.config, await configOf(name));
        const { params: reread, initialised } = await loadParams(again, key(1));
        assertEquals(initialised, []);
        for (const path of Object.keys(base)) assertEquals(reread[path].dataSync(), base[path].dataSync(), path);
        await using files = await openSafetensors(at);
        await using first = await openSafetensors(folder(name));
        assertEquals([...files.names].sort(), [...first.names].sort());
      } finally {
        await Deno.remove(at, { recursive: true });
      }
      for (const spec of Object.values({ ...methods, ia3: "ia3:feedforward=**.mlp.fc2" })) {
        await assertMerges(model, spec, base, { pixels, logits });
      }
      // Four linear layers a block, query, key and value as one, and neither heads nor embeddings.
      const adapted = Object.keys(specs(adapt("1lora")(model.layer))).filter((path) => path.endsWith(".1lora.b"));
      assertEquals(adapted.length, 8);
      assertEquals(requireTask(model, "").name, "image-classification");
    });
  });
}

Deno.test("timm: a model is trained with its head, saved, loaded and merged into timm's layout", async () => {
  // Classes of pictures that are no squares are not trained.
  for (const name of names.filter((each) => each !== "clip")) {
    await useBackend("wasm");
    await withoutLeaks(() =>
      assertTrains(folder(name), "bitfit", async (merged) => {
        const config = JSON.parse(await Deno.readTextFile(`${merged}/config.json`));
        const { num_classes, label_names, model_args, pretrained_cfg } = config;
        assertEquals([num_classes, model_args.num_classes, pretrained_cfg.num_classes], [2, 2, 2]);
        assertEquals(label_names, ["dark", "light"]);
        // BitFit gives a bias to what had none.
        assertEquals(
          [model_args.qkv_bias, model_args.proj_bias],
          name === "gap" ? [true, true] : [undefined, undefined],
        );
      })
    );
  }
});

Deno.test("timm: pictures become what its transform makes of them", async () => {
  for (const name of names) {
    const { image } = await openModel(folder(name));
    await using expected = await openSafetensors(`${folder(name)}/expected.safetensors`);
    const pictures = expected.names.filter((each) => each.startsWith("picture."));
    assertEquals(pictures.length, 4);
    for (const each of pictures) {
      const { shape: [height, width, channels], data } = await expected.read(each);
      const wanted = await expected.read(each.replace("picture", "prepared"));
      const picture = { pixels: Uint8Array.from(data as Int32Array), height, width, channels, label: 0 };
      const found = prepareImage(picture, { ...image!, preparation: preparationOf(image!) });
      assertEquals([3, found.height, found.width], wanted.shape, `${name}, ${each}`);
      const values = toFloat32(wanted);
      const worst = found.values.reduce((most, value, i) => Math.max(most, Math.abs(value - values[i])), 0);
      assert(worst < 1e-6 / Math.min(...image!.std), `${name}, ${each}: off by ${worst}`);
    }
  }
});

Deno.test("timm: every architecture has the number of parameters that timm counts, or is refused by name", async () => {
  const counts: Readonly<Record<string, number | null>> = JSON.parse(
    await Deno.readTextFile(new URL("../fixtures/timm-counts.json", import.meta.url)),
  );
  const read = (architecture: string) => {
    const model_args = { img_size: 224, num_classes: 1000 };
    return timmFamily.read({ architecture, num_classes: 1000, model_args, pretrained_cfg: {} }, {}).layer;
  };
  for (const [name, total] of Object.entries(counts)) {
    if (total === null) {
      assertStringIncludes(assertThrows(() => read(name), OneloraError).message, `"${name}", which has`);
    } else assertEquals(count(specs(read(name))), total, name);
  }
  assertEquals(
    [...timmArchitectures.keys()].sort(),
    Object.keys(counts).filter((name) => counts[name] !== null).sort(),
  );
  assertThrows(() => read("resnet50"), OneloraError, 'found architecture "resnet50"; allowed: timm\'s plain ViTs');
  assertThrows(() => read("vit_base_patch16_225"), OneloraError, 'did you mean "vit_base_patch16_224"?');
});

Deno.test("timm: settings count where timm has them count, and are refused or noted where they do not here", async () => {
  const json = await configOf("class");
  const read = (args: Json, pretrained: Json = {}, whole: Json = {}) =>
    timmFamily.read({
      ...json,
      ...whole,
      model_args: { ...json.model_args as Json, ...args },
      pretrained_cfg: { ...json.pretrained_cfg as Json, ...pretrained },
    }, {});
  const refused: readonly (readonly [Json, Json, string])[] = [
    [{ qk_norm: true }, {}, "qk_norm"],
    [{ mlp_layer: "SwiGLU" }, {}, "mlp_layer"],
    [{ global_pool: "map" }, {}, "global_pool"],
    [{ global_pool: "avgmax" }, {}, "global_pool"],
    [{ class_token: false }, {}, "global_pool"],
    [{ norm_layer: "rmsnorm" }, {}, "norm_layer"],
    [{ act_layer: "mish" }, {}, "act_layer"],
    [{ pos_embed: "none" }, {}, "pos_embed"],
    [{ attn_layer: "diff" }, {}, "attn_layer"],
    [{ depth: 1e9 }, {}, "depth"],
    [{ reg_tokens: -1 }, {}, "reg_tokens"],
    [{ embed_dim: 25 }, {}, "embed_dim"],
    [{ img_size: 3 }, {}, "img_size"],
    [{ num_classes: 4 }, {}, "num_classes"],
    [{ surprise: 1 }, {}, "model_args.surprise"],
    [{}, { label_offset: 1 }, "label_offset"],
    [{}, { label_names: ["a"] }, "label_names"],
    [{}, { first_conv: "stem.conv" }, "first_conv"],
    [{}, { input_size: 12 }, "input_size"],
  ];
  for (const [args, pretrained, field] of refused) {
    assertStringIncludes(assertThrows(() => read(args, pretrained), OneloraError).message, `"${field}"`);
  }
  assertThrows(() => timmFamily.read({ architecture: "vit_base_patch16_224", model_args: {} }, {}), OneloraError);
  // How pictures are prepared is refused where they are needed.
  for (
    const [pretrained, field] of [
      [{ crop_mode: "border" }, "crop_mode"],
      [{ interpolation: "random" }, "interpolation"],
      [{ crop_pct: 1.2 }, "crop_pct"],
      [{ mean: [0.5] }, "mean"],
      [{ std: [0.5, 0, 0.5] }, "std"],
      [{ input_size: [3, 16, 16] }, "input_size"],
    ] as const
  ) assertStringIncludes(read({}, pretrained).image!.refused!.message, `"${field}"`);
  assertEquals(read({ drop_path_rate: 0.1 }).notes, [
    `"model_args" of config.json: "drop_path_rate" 0.1: training here drops nothing out`,
  ]);
  assertEquals(read({ qk_norm: false, weight_init: "jax", mlp_layer: null }).notes, []);
  assertEquals(read({}, {}, { label_names: { 0: "a", 1: "b", 2: "c", 3: "d", 4: "e" } }).labels, [..."abcde"]);
  const old = { ...json.pretrained_cfg as Json, architecture: "vit_tiny_patch16_224", input_size: [3, 48, 48] };
  const { labels, image, notes } = timmFamily.read(old, {});
  assertEquals([labels?.length, image?.height, notes], [5, 48, []]);
});

Deno.test("timm: a model without a head gets one, and is saved with it; DeiT III's older names are read", async () => {
  await useBackend("cpu");
  const at = await Deno.makeTempDir();
  try {
    const json = await configOf("mean");
    const none = { ...json, num_classes: 0, model_args: { ...json.model_args as Json, num_classes: 0 } };
    await Deno.writeTextFile(`${at}/config.json`, JSON.stringify(none));
    const model = await openModel(at);
    assertEquals(model.labels, ["LABEL_0", "LABEL_1"]);
    assertEquals([model.config.num_classes, (model.config.model_args as Json).num_classes], [2, 2]);
    const other = model.with({ labels: ["x", "y", "z"] });
    assertEquals([other.config.num_classes, other.config.label_names], [3, ["x", "y", "z"]]);
    await using file = await openSafetensors(folder("mean"));
    const tensors = await Promise.all(
      file.names.map(async (each) => [each.replace(/ls([12]).gamma/, "gamma_$1"), await file.read(each)] as const),
    );
    await writeSafetensors(`${at}/model.safetensors`, tensors.map(([each, tensor]) => [each, tensor]));
    await Deno.copyFile(`${folder("mean")}/config.json`, `${at}/config.json`);
    await withoutLeaks(async () => {
      const { params, initialised } = await loadParams(await openModel(at), key(0));
      const { pixel_values, logits } = await fixture(`${folder("mean")}/expected.safetensors`);
      assertEquals(initialised, []);
      assertClose(apply((await openModel(at)).layer, params)(pixel_values), logits, 1e-5, "logits");
    });
    // Transformers' file beside it is none of timm's.
    await Deno.writeTextFile(`${at}/preprocessor_config.json`, JSON.stringify({ image_processor_type: "NoneOfThese" }));
    assertEquals((await openModel(at)).image?.refused, undefined);
    await Deno.writeTextFile(
      `${at}/config.json`,
      JSON.stringify({ ...json, architecture: "vit_base_patch16_siglip_224" }),
    );
    await assertRejects(() => openModel(at), OneloraError, "attention pooling");
    const alone = await assertRejects(() => openModel(`${folder("class")}/model.safetensors`), OneloraError);
    assertStringIncludes(alone.message, "did you mean its folder, with timm's config.json beside it?");
    await Deno.rename(`${at}/config.json`, `${at}/open_clip_config.json`);
    await assertRejects(() => openModel(at), OneloraError, "open_clip's folder");
  } finally {
    await Deno.remove(at, { recursive: true });
  }
});
