/**
 * `deno task predict` as a user runs it.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { dispose } from "@tensorflow/tfjs-core";
import { fileOf } from "../../dsl/files/path.ts";
import { key, useBackend } from "../../dsl/mod.ts";
import { loadParams, openModel } from "../../models/mod.ts";
import { encodePng, predictDepth } from "../../tasks/mod.ts";
import { loadSharp } from "../../tasks/data/sharp.ts";
import { readColours, readDepthPng } from "../../tasks/depth/files.ts";
import { failure, output } from "../support/command.ts";

const root = fileOf(new URL("../fixtures", import.meta.url));
const wasm = ["--backend", "wasm"];

/** Runs a test body with a folder that holds a colour PNG and a grey JPEG. */
async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const pixels = Uint8Array.from({ length: 30 * 50 * 3 }, (_, i) => (i * i >> 5) % 256);
    await Deno.mkdir(`${folder}/in`);
    await Deno.writeFile(`${folder}/in/b.png`, await encodePng({ pixels, height: 30, width: 50, channels: 3 }));
    const grey = new Uint8Array(24 * 24).map((_, i) => i % 200);
    // The project writes PNG alone.
    const sharp = await loadSharp() as unknown as (input: Uint8Array, options: unknown) => {
      jpeg(): { toBuffer(): Promise<Uint8Array> };
    };
    const jpeg = await sharp(grey, { raw: { height: 24, width: 24, channels: 1 } }).jpeg().toBuffer();
    await Deno.writeFile(`${folder}/in/a.JPG`, new Uint8Array(jpeg));
    await Deno.writeTextFile(`${folder}/in/notes.txt`, "no picture");
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a metric model's depth is written in millimetres, with colours beside it", () =>
  inFolder(async (folder) => {
    await useBackend("wasm");
    const [image, file] = [`${folder}/in/b.png`, `${folder}/depth.png`];
    const printed = await output(
      "predict",
      "--model",
      `${root}/depth-metric`,
      "--image",
      image,
      "--output",
      file,
      ...wasm,
    );
    assertEquals(printed, `${image} -> ${file}, ${folder}/depth-colour.png: metres = value / 1000\n`);

    const sharp = await loadSharp();
    const { values: pixels, height, width } = await readColours(sharp, image);
    const model = await openModel(`${root}/depth-metric`);
    const { params } = await loadParams(model, key(0));
    const expected = await predictDepth(model.layer, params, model.image!, { pixels, height, width });
    dispose(params as never);
    const found = await readDepthPng(sharp, file, 1000);
    assertEquals([found.height, found.width], [30, 50]);
    assertEquals(found.values, expected.map((metres) => Math.fround(Math.round(metres * 1000) / 1000)));
    const colours = await readColours(sharp, `${folder}/depth-colour.png`);
    assertEquals([colours.height, colours.width], [30, 50]);
  }));

Deno.test("a folder of pictures gives a file each, and a line of JSON that says what a step is", () =>
  inFolder(async (folder) => {
    const model = ["--model", `${root}/depth-relative`];
    const printed = await output(
      "predict",
      ...model,
      "--image",
      `${folder}/in`,
      "--output",
      `${folder}/out`,
      "--json",
      ...wasm,
    );
    const lines = printed.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(lines.map(({ image, output, kind, height, width }) => [image, output, kind, height, width]), [
      [`${folder}/in/a.JPG`, `${folder}/out/a-depth.png`, "relative", 24, 24],
      [`${folder}/in/b.png`, `${folder}/out/b-depth.png`, "relative", 30, 50],
    ]);
    const written = (await Array.fromAsync(Deno.readDir(`${folder}/out`))).map(({ name }) => name).sort();
    assertEquals(written, ["a-depth-colour.png", "a-depth.png", "b-depth-colour.png", "b-depth.png"]);
    const sharp = await loadSharp();
    const { values } = await readDepthPng(sharp, `${folder}/out/b-depth.png`, 1);
    assertEquals([Math.min(...values), Math.max(...values)], [0, 65535]);
  }));

Deno.test("a classifier prints the five likeliest classes", () =>
  inFolder(async (folder) => {
    const args = ["--model", "vit-micro", "--image", `${folder}/in/a.JPG,${folder}/in/b.png`, ...wasm];
    const blocks = (await output("predict", ...args)).trimEnd().split("\n");
    assertEquals(blocks.length, 12);
    assertEquals([blocks[0], blocks[6]], [`${folder}/in/a.JPG`, `${folder}/in/b.png`]);
    // As a shell writes out *.png, after the flag or without it.
    for (const flag of [["--image"], []]) {
      const pictures = [`${folder}/in/a.JPG`, `${folder}/in/b.png`];
      const each = (await output("predict", ...wasm, "--model", "vit-micro", ...flag, ...pictures)).trimEnd();
      assertEquals(each.split("\n"), blocks);
    }
    const lines = (await output("predict", ...args, "--json")).trimEnd().split("\n").map((line) => JSON.parse(line));
    for (const [i, { classes }] of lines.entries()) {
      assertEquals(classes.length, 5);
      const shown = `${(100 * classes[0].probability).toFixed(2).padStart(6)} %  ${classes[0].label}`;
      assertEquals(blocks[6 * i + 1], shown);
      assert(classes[0].probability >= classes[4].probability);
    }
  }));

Deno.test("what cannot be used is said in one line", () =>
  inFolder(async (folder) => {
    const depth = ["--model", `${root}/depth-metric`, ...wasm];
    const image = `${folder}/in/b.png`;
    const out = ["--output", `${folder}/x.png`];
    const narrow = `${folder}/in/narrow.png`;
    await Deno.writeFile(
      narrow,
      await encodePng({ pixels: new Uint8Array(300 * 3), height: 1, width: 300, channels: 3 }),
    );
    const cases: readonly (readonly [readonly string[], number, string])[] = [
      [[...depth, "--image", `${folder}/in/notes.txt`, ...out], 1, "notes.txt"],
      [[...depth, "--image", narrow, ...out], 1, `predicting for ${narrow}: preparing a picture`],
      [[...depth, "--image", `${folder}/missing.png`, ...out], 1, "no such file"],
      [[...depth, "--image", `${folder}/in/notes.txt/x`, ...out], 1, "no such file"],
      [[...depth, "--image", image, "--output", `${folder}/in/notes.txt/x.png`], 1, "writing"],
      [[...depth, "--image", image, "--output", `${folder}/x.jpg`], 2, ".png"],
      [[...depth, "--image", image, "--output", image], 2, "which is to be read"],
      [[...depth, "--image", `${folder}/in`, ...out], 2, "a folder for several"],
      [[...depth, "--image", `${folder}/in/b.png,${folder}/in/../in/b.png`], 2, "twice"],
      [[...depth], 2, "--image"],
      [["--model", `${root}/llama-tied`, "--image", image], 2, "a llama model"],
      [["--model", "vit-micro", "--image", image, ...out], 2, "classes are printed"],
    ];
    for (const [args, expected, named] of cases) {
      const [code, line] = await failure("predict", ...args);
      assertEquals(code, expected, line);
      assertStringIncludes(line, named);
    }
    assertEquals((await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name), ["in"]);
    await Deno.mkdir(`${folder}/empty`);
    assertStringIncludes((await failure("predict", ...depth, "--image", `${folder}/empty`))[1], "found none");
  }));
