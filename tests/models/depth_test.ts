import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { adapt, parameterCounts } from "../../adapters/mod.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import { apply, key, mse, OneloraError, type Path, specs, unfreeze } from "../../dsl/mod.ts";
import { depthAnything, depthAnythingPresets, loadParams, openModel, saveModel } from "../../models/mod.ts";
import { depthAnythingFamily } from "../../models/depth_anything/depth_anything.ts";
import { originalKeyOf, pathOf } from "../../models/checkpoint/keys.ts";
import { readDepthAnything, writeDepthAnything } from "../../models/depth_anything/config.ts";
import { available } from "../support/available.ts";
import { assertClose, fixture, gradients, withoutLeaks } from "../support/compare.ts";

const backends = await available("wasm", "cpu", "tensorflow");
const folder = (name: string) => fileOf(new URL(`../fixtures/${name}`, import.meta.url));

for (const backend of backends) {
  for (const name of ["depth-relative", "depth-metric"]) {
    Deno.test(`${name} equals transformers: maps, depth, loss, every gradient (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const model = await openModel(folder(name));
        const { params, initialised } = await loadParams(model, key(0));
        assertEquals(initialised, []);
        const expected = await fixture(`${folder(name)}/expected.safetensors`);
        const { pixel_values: pixels, target } = expected;

        const seen = new Map<Path, unknown>();
        const depth = apply(model.layer, params, { tap: (path, output) => seen.set(path, output) })(pixels);
        for (const [path, kind] of [["backbone", "feature"], ["neck", "fused"]] as const) {
          const maps = seen.get(path) as readonly tf.Tensor[];
          assertEquals(maps.length, 4);
          maps.forEach((map, k) => assertClose(map, expected[`${kind}.${k}`], 1e-5, `${kind} map ${k}`));
        }
        assertClose(depth, expected.predicted_depth, 1e-5, "depth");

        const trained = unfreeze(() => true)(model.layer);
        const loss = (p: typeof params) => mse(apply(trained, p)(pixels), target) as tf.Scalar;
        assertClose(loss(params), expected.loss, 1e-5, "loss");
        for (const [path, gradient] of Object.entries(gradients(loss, params))) {
          // What PyTorch has no gradient for has no part in the depth.
          const wanted = expected[`grad.${path}`] ?? tf.zerosLike(gradient);
          // A key's bias shifts all scores alike, so its gradient is what rounding leaves of terms like the value's.
          const offset = expected[`grad.${path.replace(/key\.bias$/, "value.bias")}`];
          const [found, exact] = path.endsWith("key.bias") && offset !== undefined
            ? [tf.add(gradient, offset), tf.add(wanted, offset)]
            : [gradient, wanted];
          assertClose(found, exact, 2e-5, `gradient of ${path}`);
        }
        const wanted = Object.keys(expected).filter((name) => name.startsWith("grad."));
        assert(wanted.every((name) => params[name.slice("grad.".length)] !== undefined));
      });
    });
  }

  Deno.test(`a square image of the native size keeps its position embeddings (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(async () => {
      const model = await openModel(folder("depth-metric"));
      const { params } = await loadParams(model, key(0));
      const expected = await fixture(`${folder("depth-metric")}/native.safetensors`);
      assertClose(apply(model.layer, params)(expected.pixel_values), expected.predicted_depth, 1e-5, "depth");
    });
  });

  Deno.test(`position embeddings are resampled by factors where the configuration says so (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(async () => {
      for (const name of ["depth-relative", "depth-metric"]) {
        const model = await openModel(folder(name));
        const { params } = await loadParams(model, key(0));
        const config = readDepthAnything(model.config);
        const original = depthAnything({ ...config, backbone: { ...config.backbone, interpolateOffset: 0.1 } });
        const expected = await fixture(`${folder(name)}/expected.safetensors`);
        const depth = apply(original, params)(expected.pixel_values);
        assertClose(depth, expected["by_factors.predicted_depth"], 1e-5, "depth");
        const shift = tf.max(tf.abs(tf.sub(depth, expected.predicted_depth))).dataSync()[0];
        assert(shift > 1e-3, `${shift}`);
      }
    });
  });

  Deno.test(`fused query, key and value compute the same (${backend})`, async () => {
    await useBackend(backend);
    await withoutLeaks(async () => {
      const model = await openModel(folder("depth-metric"), { qkv: "fused" });
      const { params } = await loadParams(model, key(0));
      assertEquals(params["backbone.encoder.layer.3.attention.attention.qkv.weight"].shape, [60, 20]);
      const { pixel_values: pixels, target, ...expected } = await fixture(
        `${folder("depth-metric")}/expected.safetensors`,
      );
      assertClose(apply(model.layer, params)(pixels), expected.predicted_depth, 1e-5, "depth");
      const trained = unfreeze(() => true)(model.layer);
      const found = gradients((p) => mse(apply(trained, p)(pixels), target) as tf.Scalar, params);
      const parts = ["query", "key", "value"].map((name) =>
        expected[`grad.backbone.encoder.layer.0.attention.attention.${name}.weight`]
      );
      const gradient = found["backbone.encoder.layer.0.attention.attention.qkv.weight"];
      assertClose(gradient, tf.concat(parts), 1e-5, "gradient of qkv");
    });
  });
}

Deno.test("a saved depth model is a Hugging Face folder that loads again bit by bit, fused or not", async () => {
  await useBackend("wasm");
  const directory = await Deno.makeTempDir();
  await withoutLeaks(async () => {
    for (const qkv of ["split", "fused"] as const) {
      const model = await openModel(folder("depth-relative"), { qkv });
      const { params } = await loadParams(model, key(0));
      await saveModel(model, params, directory);
      const again = await openModel(directory);
      assertEquals(again.config, model.config);
      const { params: reread } = await loadParams(again, key(1));
      assertEquals(Object.keys(reread), Object.keys(params));
      for (const path of Object.keys(params)) assertEquals(reread[path].dataSync(), params[path].dataSync(), path);
    }
  });
  await Deno.remove(directory, { recursive: true });
});

Deno.test("counts on depth-anything-large are the paper's", async () => {
  const counts: Readonly<Record<string, number>> = {
    "1lora": 221_184,
    lora: 393_216,
    dora: 614_400,
    vera: 221_280,
    mora1: 220_056,
    mora6: 217_440,
    bitfit: 221_184,
    norms: 100_352,
    scale: 221_184,
    all: 335_315_649,
  };
  const { layer, headPath } = await openModel("depth-anything-large");
  for (const [method, expected] of Object.entries(counts)) {
    assertEquals(parameterCounts(adapt(method)(layer), headPath).adapter, expected, method);
  }
  const split = await openModel("depth-anything-large", { qkv: "split" });
  assertEquals(parameterCounts(adapt("1lora")(split.layer)).adapter, 221_184);
  assertEquals(parameterCounts(adapt("lora")(split.layer)).adapter, 24 * (4 * 2048 + 2 * 5120));
});

Deno.test("adapters go on the encoder's linear layers only", async () => {
  const { layer } = await openModel("depth-anything-small");
  const base = specs(layer);
  const added = Object.keys(specs(adapt("lora")(layer))).filter((path) => base[path] === undefined);
  assertEquals(added.length, 12 * 4 * 2);
  assert(added.every((path) => path.startsWith("backbone.encoder.layer.")));
});

Deno.test("presets have the published sizes", async () => {
  const total = async (name: string) => parameterCounts((await openModel(name)).layer).total;
  assertEquals(await total("depth-anything-small"), 24_785_089);
  assertEquals(await total("depth-anything-base"), 97_470_785);
  assertEquals(await total("depth-anything-large-outdoor"), 335_315_649);
  assertEquals((await openModel("depth-anything-base-indoor")).config.max_depth, 20);
});

Deno.test("every key goes to the original repository's name and back", async () => {
  const { layer, keys } = await openModel("depth-anything-large");
  const originals = Object.keys(specs(layer)).map((path) => [path, originalKeyOf(keys, path)] as const);
  for (const [path, original] of originals) {
    assertEquals(pathOf(keys, original), path);
    assertEquals(pathOf(keys, `core.core.${original}`), path);
    assertEquals(pathOf(keys, path), path);
    assert(/^(pretrained|depth_head)\./.test(original), original);
  }
  assertEquals(new Set(originals.map(([, original]) => original)).size, originals.length);
  const named = new Map<string, string>(originals);
  const unit = "neck.fusion_stage.layers.0.residual_layer1.convolution2";
  for (
    const [path, original] of [
      ["backbone.embeddings.position_embeddings", "pretrained.pos_embed"],
      ["backbone.embeddings.mask_token", "pretrained.mask_token"],
      ["backbone.embeddings.patch_embeddings.projection.bias", "pretrained.patch_embed.proj.bias"],
      ["backbone.encoder.layer.23.attention.attention.qkv.weight", "pretrained.blocks.23.attn.qkv.weight"],
      ["backbone.encoder.layer.0.attention.output.dense.bias", "pretrained.blocks.0.attn.proj.bias"],
      ["backbone.encoder.layer.7.layer_scale2.lambda1", "pretrained.blocks.7.ls2.gamma"],
      ["backbone.encoder.layer.7.norm1.weight", "pretrained.blocks.7.norm1.weight"],
      ["backbone.encoder.layer.7.mlp.fc2.bias", "pretrained.blocks.7.mlp.fc2.bias"],
      ["backbone.layernorm.bias", "pretrained.norm.bias"],
      ["neck.reassemble_stage.layers.2.projection.weight", "depth_head.projects.2.weight"],
      ["neck.reassemble_stage.layers.3.resize.bias", "depth_head.resize_layers.3.bias"],
      ["neck.convs.0.weight", "depth_head.scratch.layer1_rn.weight"],
      [`${unit}.weight`, "depth_head.scratch.refinenet4.resConfUnit1.conv2.weight"],
      ["neck.fusion_stage.layers.3.projection.bias", "depth_head.scratch.refinenet1.out_conv.bias"],
      ["head.conv1.weight", "depth_head.scratch.output_conv1.weight"],
      ["head.conv2.bias", "depth_head.scratch.output_conv2.0.bias"],
      ["head.conv3.weight", "depth_head.scratch.output_conv2.2.weight"],
    ]
  ) assertEquals(named.get(path), original);
  assertEquals(pathOf(keys, "conditional_log_binomial.mlp.0.weight"), undefined);
});

Deno.test("configurations read as transformers reads them and are written as they were read", () => {
  for (const config of Object.values(depthAnythingPresets)) {
    assertEquals(readDepthAnything(writeDepthAnything(config)), config);
  }
  const bare = readDepthAnything({ model_type: "depth_anything" });
  const small = depthAnythingPresets["depth-anything-small"];
  assertEquals(bare, { ...small, backbone: { ...small.backbone, fusedQkv: false } });
  const named = { ...writeDepthAnything(small).backbone_config as object, out_indices: null };
  assertEquals(readDepthAnything({ backbone_config: named }).backbone.outputs, [9, 10, 11, 12]);
  const scaled = { backbone_config: { ...named, interpolate_offset: 0.1, out_indices: [-4, -3, -2, -1] } };
  assertEquals(readDepthAnything(writeDepthAnything(readDepthAnything(scaled))).backbone.interpolateOffset, 0.1);
  assertEquals(readDepthAnything(scaled).backbone.outputs, [9, 10, 11, 12]);
});

Deno.test("configurations that cannot be are named", () => {
  const small = writeDepthAnything(depthAnythingPresets["depth-anything-small"]);
  const backbone = (change: object) => ({ backbone_config: { ...small.backbone_config as object, ...change } });
  const cases: readonly (readonly [object, string])[] = [
    [{ reassemble_hidden_size: 385 }, "reassemble_hidden_size"],
    [{ patch_size: 16 }, "patch_size"],
    [{ neck_hidden_sizes: [48, 96, 192] }, "neck_hidden_sizes"],
    [{ neck_hidden_sizes: 48 }, "neck_hidden_sizes"],
    [{ head_in_index: 4 }, "head_in_index"],
    [{ depth_estimation_type: "absolute" }, "depth_estimation_type"],
    [{ max_depth: -1 }, "max_depth"],
    [backbone({ model_type: "dinov3" }), "model_type"],
    [backbone({ use_swiglu_ffn: true }), "use_swiglu_ffn"],
    [backbone({ reshape_hidden_states: true }), "reshape_hidden_states"],
    [backbone({ out_indices: [9, 10, 11, 13] }), "out_indices"],
    [backbone({ out_indices: null, out_features: ["stage9", "stage13"] }), "out_features"],
    [backbone({ image_size: 13 }), "image_size"],
    [backbone({ hidden_size: 383 }), "hidden_size"],
    [{ backbone_config: "dinov2" }, "backbone_config"],
  ];
  for (const [change, field] of cases) {
    assertThrows(() => depthAnythingFamily.read({ ...small, ...change }, {}), OneloraError, `"${field}"`);
  }
});

Deno.test("rows and columns that no whole patch reaches are not seen; other classes are refused", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const model = await openModel(folder("depth-relative"));
    const { params } = await loadParams(model, key(0));
    const pixels = tf.randomNormal([1, 3, 45, 50], 0, 1, "float32", 1);
    const seen = apply(model.layer, params)(tf.slice(pixels, [0, 0, 0, 0], [1, 3, 42, 42]));
    assertClose(apply(model.layer, params)(pixels), seen, 1e-6, "depth");
  });
  await assertRejects(() => openModel("dpt-micro", { labels: ["a"] }), OneloraError, "it has no classes");
});
