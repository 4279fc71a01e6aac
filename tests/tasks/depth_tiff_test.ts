import { assertEquals, assertRejects } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { openDepthData } from "../../tasks/depth/open.ts";
import { withFolder } from "../support/data_folder.ts";

Deno.test("maps are TIFFs of 16 bits or of floats, too, numbers as Python reads them; what decoders take for others is refused", async () => {
  const bytes = (name: string) => Deno.readFile(new URL(`../fixtures/depth-files/${name}`, import.meta.url));
  const picture = await bytes("picture.png");
  const files = async (name: string) => ({
    "rgb/a.png": picture,
    "rgb/b.png": picture,
    [`depth/a${name.slice(name.lastIndexOf("."))}`]: await bytes(name),
    [`depth/b${name.slice(name.lastIndexOf("."))}`]: await bytes(name),
  });
  const [height, width] = [6, 8];
  const metres = Float32Array.from({ length: height * width }, (_, i) => 1 + Math.floor(i / width) + (i % width) / 16);
  await withFolder(await files("depth-f32.tiff"), async (folder) => {
    const { depth } = await (await openDepthData(`pairs:${folder}`)).train.get(0);
    // What is no number was not measured.
    assertEquals(depth, metres.map((value, i) => i === 0 ? 0 : value));
    const scaled = await openDepthData(`pairs:${folder}`, {}, { scale: 2 });
    assertEquals((await scaled.train.get(0)).depth, metres.map((value, i) => i === 0 ? 0 : value / 2));
  });
  await withFolder(await files("depth-u16.tif"), async (folder) => {
    await assertRejects(() => openDepthData(`pairs:${folder}`), OneloraError, "`depthScale`");
    const { depth } = await (await openDepthData(`pairs:${folder}`, {}, { scale: 1000 })).train.get(0);
    assertEquals(depth, metres.map((value) => Math.fround(Math.floor(value * 1000) / 1000)));
  });
  const refused: readonly (readonly [string, string])[] = [
    ["depth-f16.tiff", "found a TIFF of floats in 16 bits"],
    ["depth-i32.tiff", "found tiff of 1 channels of int"],
    ["depth-white.tiff", "found a TIFF whose 0 is white"],
    ["depth-zstd.tiff", "found a TIFF packed by Zstandard"],
  ];
  for (const [name, found] of refused) {
    await withFolder(await files(name), async (folder) => {
      await assertRejects(() => openDepthData(`pairs:${folder}`), OneloraError, found);
    });
  }
  for (const [end, found] of [["exr", "maps in OpenEXR (depth/a.exr)"], ["pfm", "maps in PFM"]]) {
    const maps = { "rgb/a.png": picture, "rgb/b.png": picture, [`depth/a.${end}`]: "x", [`depth/b.${end}`]: "x" };
    await withFolder(maps, async (folder) => {
      await assertRejects(() => openDepthData(`pairs:${folder}`), OneloraError, found);
    });
  }
});

/** NumPy's file of an array of 6 rows. */
function npy(type: string, values: Uint8Array, shape = "(6, 8)"): Uint8Array {
  const header = `{'descr': '${type}', 'fortran_order': False, 'shape': ${shape}, }\n`;
  const encoder = new TextEncoder();
  return Uint8Array.of(0x93, ...encoder.encode("NUMPY"), 1, 0, header.length, 0, ...encoder.encode(header), ...values);
}

Deno.test("maps of NumPy's are metres where they are floats, and steps, whose size must be said, where they are whole", async () => {
  const picture = await Deno.readFile(new URL("../fixtures/depth-files/picture.png", import.meta.url));
  const files = (map: Uint8Array) => ({
    "rgb/a.png": picture,
    "rgb/b.png": picture,
    "depth/a.npy": map,
    "depth/b.npy": map,
  });
  const steps = Uint16Array.from({ length: 48 }, (_, i) => 100 * i);
  await withFolder(files(npy("<u2", new Uint8Array(steps.buffer), "(1, 6, 8)")), async (folder) => {
    await assertRejects(() => openDepthData(`pairs:${folder}`), OneloraError, "maps of whole numbers");
    const { depth } = await (await openDepthData(`pairs:${folder}`, {}, { scale: 1000 })).train.get(0);
    assertEquals(depth, Float32Array.from(steps, (step) => step / 1000));
  });
  const metres = Float32Array.from({ length: 48 }, (_, i) => i / 8);
  await withFolder(files(npy("<f4", new Uint8Array(metres.buffer))), async (folder) => {
    assertEquals((await (await openDepthData(`pairs:${folder}`)).train.get(0)).depth, metres);
  });
});
