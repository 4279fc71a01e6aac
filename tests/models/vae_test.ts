/**
 * AutoencoderKL against diffusers: encoding, decoding, gradients, new and old names.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import * as tf from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { useBackend } from "../../dsl/engine/mod.ts";
import {
  apply,
  count,
  key,
  OneloraError,
  openSafetensors,
  type Params,
  type Path,
  specs,
  unfreeze,
} from "../../dsl/mod.ts";
import {
  asEncoder,
  type AutoencoderConfig,
  autoencoderPresets,
  decoding,
  type Encoder,
  loadParams,
  namedForward,
  openModel,
  sampleLatents,
  saveModel,
} from "../../models/mod.ts";
import { readAutoencoderConfig } from "../../models/autoencoder/config.ts";
import { signatureFor } from "../../models/checkpoint/signature.ts";
import { available } from "../support/available.ts";
import { assertClose, fixture, gradients, withoutLeaks } from "../support/compare.ts";

const folder = (name: string) => fileOf(new URL(`../fixtures/${name}`, import.meta.url));

interface Opened {
  readonly layer: Encoder;
  readonly params: Params;
  readonly config: AutoencoderConfig;
}

async function open(name: string): Promise<Opened> {
  const model = await openModel(folder(name));
  const { params, initialised } = await loadParams(model, key(0));
  assertEquals(initialised, []);
  return { layer: asEncoder(model, model.layer), params, config: readAutoencoderConfig(model.config) };
}

for (const backend of await available("wasm", "cpu", "tensorflow")) {
  for (const name of ["vae-rgb", "vae-old"]) {
    Deno.test(`${name} equals diffusers: every block, moments, samples, decoded images (${backend})`, async () => {
      await useBackend(backend);
      await withoutLeaks(async () => {
        const { layer, params, config } = await open(name);
        const expected = await fixture(`${folder(name)}/expected.safetensors`);
        const seen = new Map<Path, tf.Tensor>();
        const tap = (path: Path, output: unknown) => seen.set(path, output as tf.Tensor);
        const [scaled, mean, logvar] = apply(layer, params, { tap })(expected.pixel_values);
        assertClose(mean, expected.mean, 1e-5, "mean");
        assertClose(logvar, expected.logvar, 1e-5, "logvar");
        assertClose(scaled, tf.mul(expected.mean, 0.18215), 1e-5, "latents");
        assertClose(sampleLatents(config, mean, logvar, expected.noise), expected.sample, 1e-5, "sample");
        const decoded = apply(decoding(config)(layer), params, { tap })(expected.latents);
        assertClose(decoded, expected.decoded, 1e-5, "decoded");
        const blocks = Object.keys(expected).filter((path) => path.includes("block"));
        assertEquals(blocks.length, 2 * config.blocks.length + 2);
        for (const path of blocks) {
          assertClose(tf.transpose(seen.get(path)!, [0, 3, 1, 2]), expected[path], 1e-5, path);
        }
      });
    });
  }
}

Deno.test("gradients reach pixels, latents and every parameter of their half, and equal finite differences", async () => {
  await useBackend("cpu");
  await withoutLeaks(async () => {
    const { layer, params, config } = await open("vae-old");
    const { pixel_values, latents } = await fixture(`${folder("vae-old")}/expected.safetensors`);
    const trained = unfreeze(() => true)(layer);
    const cases = [
      ["encoder", (p: Params) => tf.concat([...apply(trained, p)(p.input)]), pixel_values],
      ["decoder", (p: Params) => apply(decoding(config)(trained), p)(p.input), latents],
    ] as const;
    for (const [half, run, input] of cases) {
      const used = Object.fromEntries(Object.entries(params).filter(([path]) => path.startsWith(`${half}.`)));
      const others = Object.fromEntries(Object.entries(params).filter(([path]) => !path.startsWith(`${half}.`)));
      const loss = (p: Params) => tf.mean(tf.square(run({ ...others, ...p }))) as tf.Scalar;
      const point: Params = { ...used, input };
      const found = gradients(loss, point);
      const squared = Object.values(found).reduce((sum, g) => sum + tf.sum(tf.square(g)).dataSync()[0], 0);
      for (const path of Object.keys(found)) {
        // A key's bias shifts all scores alike, which the softmax does not see.
        const seen = tf.max(tf.abs(found[path])).dataSync()[0] > 0;
        assert(seen || path.endsWith("to_k.bias"), path);
      }
      const step = 3e-3 / Math.sqrt(squared);
      const at = (sign: number) => {
        const moved = Object.entries(point).map(([path, p]) => [path, tf.add(p, tf.mul(found[path], sign * step))]);
        return loss(Object.fromEntries(moved)).dataSync()[0];
      };
      const slope = (at(1) - at(-1)) / (2 * step);
      assert(Math.abs(slope / squared - 1) < 1e-2, `${half}: slope ${slope}, |gradient|² ${squared}`);
    }
  });
});

Deno.test("latents lead back to pixels: a model runs the way that reads what is there", async () => {
  await useBackend("wasm");
  await withoutLeaks(async () => {
    const model = await openModel(folder("vae-rgb"));
    const { params } = await loadParams(model, key(0));
    const { pixel_values, latents, mean, decoded } = await fixture(`${folder("vae-rgb")}/expected.safetensors`);
    const run = (inputs: Params) => namedForward(signatureFor(model, Object.keys(inputs)), model.layer, params)(inputs);
    const encoded = run({ pixel_values });
    assertEquals(Object.keys(encoded), ["latents", "mean", "logvar"]);
    assertClose(encoded.mean, mean, 1e-5, "mean");
    const images = run({ latents });
    assertEquals(Object.keys(images), ["pixel_values"]);
    assertClose(images.pixel_values, decoded, 1e-5, "pixel_values");
    assert(signatureFor(model, ["pixels"]) === model.signature);
  });
});

Deno.test("old names are saved as new ones, and load again bit by bit", async () => {
  await useBackend("wasm");
  const directory = await Deno.makeTempDir();
  await withoutLeaks(async () => {
    const model = await openModel(folder("vae-old"));
    const { params } = await loadParams(model, key(0));
    await saveModel(model, params, directory);
    const again = await openModel(directory);
    assertEquals(again.config, model.config);
    const { params: reread } = await loadParams(again, key(1));
    for (const path of Object.keys(params)) assertEquals(reread[path].dataSync(), params[path].dataSync());
    await using written = await openSafetensors(`${directory}/diffusion_pytorch_model.safetensors`);
    assert(written.names.includes("encoder.mid_block.attentions.0.to_out.0.weight"));
    assert(!written.names.some((name) => /query|proj_attn/.test(name)));
  });
  await Deno.remove(directory, { recursive: true });
});

Deno.test("a model of another family has no latents", async () => {
  const other = await openModel("dit-micro");
  const error = assertThrows(() => asEncoder(other, other.layer), OneloraError, "a dit model");
  assertEquals(error.exitCode, 2);
});

Deno.test("the preset has the published number of parameters, without allocating any", async () => {
  await useBackend("cpu");
  const before = tf.memory().numTensors;
  const totals: Readonly<Record<string, number>> = JSON.parse(await Deno.readTextFile(folder("vae-counts.json")));
  assertEquals(totals, { "sd-vae-ft-ema": 83_653_863 });
  for (const [name, total] of Object.entries(totals)) assertEquals(count(specs((await openModel(name)).layer)), total);
  assertEquals(tf.memory().numTensors, before);
});

Deno.test("the published configuration is read, and what is not known is refused by name", () => {
  const published = {
    _class_name: "AutoencoderKL",
    act_fn: "silu",
    block_out_channels: [128, 256, 512, 512],
    down_block_types: Array(4).fill("DownEncoderBlock2D"),
    in_channels: 3,
    latent_channels: 4,
    layers_per_block: 2,
    norm_num_groups: 32,
    out_channels: 3,
    sample_size: 256,
    up_block_types: Array(4).fill("UpDecoderBlock2D"),
  };
  assertEquals(readAutoencoderConfig(published), autoencoderPresets["sd-vae-ft-ema"]);
  const refused: readonly (readonly [Record<string, unknown>, string])[] = [
    [{ scaling_factor: null }, "scaling_factor"],
    [{ down_block_types: ["AttnDownEncoderBlock2D"] }, "down_block_types"],
    [{ up_block_types: ["UpDecoderBlock2D", "UpDecoderBlock2D"] }, "up_block_types"],
    [{ block_out_channels: [48] }, "block_out_channels"],
    [{ block_out_channels: 64 }, "block_out_channels"],
    [{ act_fn: "gelu" }, "act_fn"],
    [{ use_quant_conv: false }, "use_quant_conv"],
    [{ mid_block_add_attention: false }, "mid_block_add_attention"],
    [{ shift_factor: 0.1 }, "shift_factor"],
    [{ out_channels: 1 }, "out_channels"],
    [{ scaling_factor: 0 }, "scaling_factor"],
  ];
  for (const [json, field] of refused) assertThrows(() => readAutoencoderConfig(json), OneloraError, `"${field}"`);
});
