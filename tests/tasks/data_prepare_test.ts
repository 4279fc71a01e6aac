import { assert, assertEquals, assertThrows } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { OneloraError } from "../../dsl/mod.ts";
import { openSafetensors, toFloat32 } from "../../dsl/safetensors/mod.ts";
import type { ImageInput } from "../../models/mod.ts";
import { preparationOf } from "../../models/image_input.ts";
import { readPreprocessor } from "../../models/companions/preprocessor.ts";
import { preprocessorSettings } from "../../models/companions/processor_classes.ts";
import { prepareImage } from "../../tasks/data/prepare.ts";
import type { Json } from "../../models/config.ts";

const folder = fileOf(new URL("../fixtures/image-processors", import.meta.url));
const FILE = "preprocessor_config.json";

/** What a model of 12x12 images takes, and what a depth model of 28x28 takes. */
const vit: ImageInput = { height: 12, width: 12, channels: 3, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
const depth: ImageInput = { ...vit, height: 28, width: 28, multipleOf: 14 };

Deno.test("pictures become what transformers' image processors make of them, byte for byte before the numbers", async () => {
  const cases: readonly Json[] = JSON.parse(await Deno.readTextFile(`${folder}/cases.json`));
  await using expected = await openSafetensors(`${folder}/expected.safetensors`);
  const pictures = expected.names.filter((name) => name.startsWith("picture."));
  assertEquals(pictures.length, 4);
  let compared = 0;
  for (const [index, json] of cases.entries()) {
    const isDepth = `${json.image_processor_type}`.startsWith("DPT");
    const { image, notes } = readPreprocessor(json, isDepth ? depth : vit, isDepth ? "depth_anything" : "vit", FILE);
    assertEquals(notes, []);
    for (const name of pictures) {
      const { shape, data } = await expected.read(name);
      const [height, width, channels] = shape;
      const picture = { pixels: data as Uint8Array, height, width, channels, label: 0 };
      const wanted = await expected.read(name.replace("picture", `${index}`));
      const found = prepareImage(picture, { ...image, preparation: preparationOf(image) });
      assertEquals([3, found.height, found.width], wanted.shape, `case ${index}, ${name}`);
      const values = toFloat32(wanted);
      const worst = found.values.reduce((most, value, i) => Math.max(most, Math.abs(value - values[i])), 0);
      assert(worst < 1e-5 * Math.max(1, 1 / Math.min(...image.std)), `case ${index}, ${name}: off by ${worst}`);
      compared++;
    }
  }
  assertEquals(compared, 4 * cases.length);
});

Deno.test("settings of pictures that are not known here are refused by name, or noted", () => {
  const read = (json: Json, input: ImageInput = vit) => readPreprocessor(json, input, "vit", FILE);
  const cases: readonly (readonly [Json, string])[] = [
    [{ image_processor_type: "LevitImageProcessor" }, "image_processor_type"],
    [{ size: { longest_edge: 12 } }, "size"],
    [{ size: { height: 12 } }, "size"],
    [{ size: "12" }, "size"],
    [{ size: {} }, "size"],
    [{ size: { height: 12, width: -12 } }, "size"],
    [{ size: { shortest_edge: 0.5 } }, "size"],
    [{ size: 12, resample: 6 }, "resample"],
    [{ size: 12, resample: "bicubic" }, "resample"],
    [{ size: 12, image_mean: [0.5] }, "image_mean"],
    [{ size: 12, image_std: [0.5, 0, 0.5] }, "image_std"],
    [{ size: 12, rescale_factor: -1 }, "rescale_factor"],
    [{ size: 12, do_resize: "yes" }, "do_resize"],
    [{ size: 12, do_flip_channel_order: true }, "do_flip_channel_order"],
    [{ size: 12, do_center_crop: true, crop_size: { shortest_edge: 12 } }, "crop_size"],
    [{ image_processor_type: "ConvNextImageProcessor", size: 12, do_pad: true }, "do_pad"],
  ];
  for (const [json, name] of cases) assertThrows(() => read(json), OneloraError, `"${name}"`);
  // As the reference's forward pass says it: images of another size than the model's.
  assertThrows(() => read({ size: 14 }), OneloraError, "pictures that come to 14x14; allowed: 12x12");
  assertEquals(read({ size: 12, do_sharpen: false, do_sharpen_by: 2 }).notes, [
    `${FILE}: "do_sharpen_by": no setting of a ViTImageProcessor, so ignored`,
  ]);
});

Deno.test("every setting of transformers' image processors has a treatment", async () => {
  const { [FILE]: classes } = JSON.parse(
    await Deno.readTextFile(new URL("../fixtures/companion-keys.json", import.meta.url)),
  );
  assertEquals(Object.keys(classes).sort(), Object.keys(preprocessorSettings).sort());
  for (const [name, settings] of Object.entries<Json>(classes)) {
    const missing = Object.keys(settings).filter((key) => !Object.hasOwn(preprocessorSettings[name], key));
    assertEquals(missing, [], name);
  }
});
