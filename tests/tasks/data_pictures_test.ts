import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { fileOf } from "../../dsl/files/path.ts";
import { OneloraError } from "../../dsl/error.ts";
import { openSafetensors } from "../../dsl/safetensors/mod.ts";
import { decodeImage, decodeSixteen } from "../../tasks/data/decode.ts";
import { checkPictureSize, MOST_PIXELS } from "../../tasks/data/picture_formats.ts";
import { loadSharp, type Sharp } from "../../tasks/data/sharp.ts";
import { withFolder } from "../support/data_folder.ts";

const folder = fileOf(new URL("../fixtures/pictures/", import.meta.url));
const sharp = await loadSharp();
const file = (name: string) => Deno.readFile(`${folder}${name}`);

/** A picture as red, green and blue. */
async function colours(name: string): Promise<{ shape: readonly number[]; values: Uint8Array }> {
  const { pixels, height, width, channels } = await decodeImage(sharp, `${folder}${name}`, name);
  const values = channels === 3
    ? pixels
    : Uint8Array.from({ length: 3 * pixels.length }, (_, i) => pixels[Math.trunc(i / 3)]);
  return { shape: [height, width, 3], values };
}

Deno.test("pictures of every format and mode are what Pillow makes of them, byte for byte", async () => {
  await using expected = await openSafetensors(`${folder}expected.safetensors`);
  assert(expected.names.length > 75);
  for (const name of expected.names) {
    const { shape, data } = await expected.read(name);
    const found = await colours(name);
    assertEquals(found.shape, shape, name);
    // AVIF's decoder turns luminance and chrominance into colours with another rounding.
    const most = name.endsWith(".avif") ? 1 : 0;
    const worst = found.values.reduce((max, value, i) => Math.max(max, Math.abs(value - Number(data[i]))), 0);
    assert(worst <= most, `${name}: ${worst}`);
  }
});

Deno.test("the name of a file does not decide its format", () =>
  withFolder({}, async (other) => {
    await Deno.copyFile(`${folder}rgb.bmp`, `${other}/a.png`);
    assertEquals((await decodeImage(sharp, `${other}/a.png`, "a")).pixels, (await colours("rgb.bmp")).values);
  }));

/** A decoder that may not be used. */
const never = (() => {
  throw new Error("decoded");
}) as Sharp;

async function refused(input: Uint8Array | string, found: string, decoder: Sharp = never): Promise<void> {
  const bytes = typeof input === "string" ? new TextEncoder().encode(input) : input;
  const error = await assertRejects(() => decodeImage(decoder, bytes, "it"), OneloraError, found);
  assert(!error.message.includes("\n"), error.message);
}

Deno.test("what is no picture, or draws other files, is refused before the decoder sees it", async () => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/hostname"/></svg>';
  for (const text of [svg, `<?xml version="1.0"?>\n<!-- ${"x".repeat(200)} -->${svg}`, `\ufeff  ${svg}`]) {
    await refused(text, "found an SVG drawing");
  }
  await refused("", "found an empty file");
  await refused("<!DOCTYPE html><p>404", "found XML or HTML");
  await refused("%PDF-1.7\n", "found a PDF document");
  await refused("8BPS", "found a Photoshop document");
  await refused(Uint8Array.of(0x1f, 0x8b, 8), "found a gzipped file");
  await refused(Uint8Array.of(8, 0xf2, 0xa6, 0xb6), "found a picture of libvips");
  await refused(new TextEncoder().encode("\0\0\0\x18ftypheic\0\0\0\0mif1heic"), "found HEIC");
  await refused(new TextEncoder().encode("\0\0\0\x18ftypisom"), "found a film");
  await refused("Pf\n2 2\n-1.0\n", "found a map of floating-point numbers");
  await refused("push graphic-context\n", "found no picture of a known format");
});

/** A PNG's first chunk with other sizes. */
function sized(png: Uint8Array, width: number, height: number): Uint8Array {
  const out = png.slice();
  const view = new DataView(out.buffer);
  view.setUint32(16, width);
  view.setUint32(20, height);
  const table = Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n >>> 0;
  });
  const crc = out.subarray(12, 29).reduce((sum, byte) => table[(sum ^ byte) & 255] ^ (sum >>> 8), 0xffffffff);
  view.setUint32(29, ~crc >>> 0);
  return out;
}

Deno.test("a picture of too many pixels is refused before memory is taken for them", async () => {
  assertThrows(() => checkPictureSize(16000, 16000, "it"), OneloraError, "16000x16000 pixels");
  checkPictureSize(MOST_PIXELS, 1, "it");
  await refused(sized(await file("rgb.png"), 16000, 16000), "it: found", sharp);
  const gif = await file("palette.gif");
  new DataView(gif.buffer).setUint32(6, 0xffffffff);
  await refused(gif, "65535x65535 pixels");
  const bmp = await file("rgb.bmp");
  new DataView(bmp.buffer).setInt32(18, 2 ** 30, true);
  await refused(bmp, `${2 ** 30}x10 pixels`);
  await refused("P6 99999 99999 255\n", "99999x99999 pixels");
  await refused("P6 0 5 255\n", "0x5 pixels");
});

Deno.test("pictures cut short or changed anywhere are decoded or refused in one line", async () => {
  const names = ["rgb.png", "rgb.jpg", "rgb.bmp", "rle8.bmp", "565.bmp", "palette.gif", "part.gif", "raw.tif"];
  for (const name of [...names, "plain.ppm", "bilevel.pbm", "rgb.webp", "4.bmp", "palette.tif"]) {
    const good = await file(name);
    const tried = async (bytes: Uint8Array) => {
      try {
        const { pixels, height, width, channels } = await decodeImage(sharp, bytes, name);
        assertEquals(pixels.length, height * width * channels);
        return true;
      } catch (error) {
        assert(error instanceof OneloraError && !error.message.includes("\n"), `${name}: ${error}`);
        return false;
      }
    };
    const step = Math.ceil(good.length / 60);
    for (let length = 0; length < good.length; length += step) await tried(good.subarray(0, length));
    for (let place = 0; place < good.length; place += step) await tried(good.with(place, good[place] ^ 0x5a));
    // Half of a picture is none.
    assertEquals(await tried(good.subarray(0, good.length >> 1)), false, name);
  }
});

Deno.test("colours that would be taken for others are refused by name", async () => {
  const tiff = await file("raw.tif");
  const view = new DataView(tiff.buffer);
  const at = view.getUint32(4, true) + 2;
  const entries = Array.from({ length: view.getUint16(at - 2, true) }, (_, i) => at + 12 * i);
  const photometric = entries.find((entry) => view.getUint16(entry, true) === 262)! + 8;
  for (const [kind, found] of [[6, "YCbCr"], [8, "L*a*b*"], [32803, "raw colours"]] as const) {
    view.setUint16(photometric, kind, true);
    await refused(tiff, found);
  }
});

Deno.test("depth maps are PNGs of one channel of 16 bits and no others", async () => {
  const { values, height, width } = await decodeSixteen(sharp, `${folder}grey16.png`);
  assertEquals([height, width, values.length], [10, 13, 130]);
  assertEquals(values[0] >> 8, (await colours("grey16.png")).values[0]);
  for (const name of ["grey.png", "rgb16.png", "grey16.tiff", "grey16.pgm"]) {
    await assertRejects(() => decodeSixteen(sharp, `${folder}${name}`), OneloraError, "one channel of 16 bits");
  }
});
