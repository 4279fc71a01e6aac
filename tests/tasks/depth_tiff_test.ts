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
