import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { depthEvaluationTransform } from "../../tasks/depth/augment.ts";
import type { DepthExample } from "../../tasks/depth/dataset.ts";
import { depthBatches } from "../../tasks/depth/loader.ts";
import { openDepthData } from "../../tasks/depth/open.ts";
import { parseNpy } from "../../tasks/depth/npy.ts";
import { kittiCrop } from "../../tasks/depth/kitti.ts";
import { parseSplitList } from "../../tasks/depth/lists.ts";
import { withFolder } from "../support/data_folder.ts";

const file = (name: string) => Deno.readFile(new URL(`../fixtures/depth-files/${name}`, import.meta.url));

const [nyu, picture, jpeg, depth16, depth8] = await Promise.all(
  ["nyu.mat", "picture.png", "picture.jpg", "depth.png", "depth-8-bit.png"].map(file),
);
const [kitti, kittiDepth] = await Promise.all([file("kitti.png"), file("kitti-depth.png")]);
const [diodeDepth, diodeMask] = await Promise.all([file("diode_depth.npy"), file("diode_depth_mask.npy")]);

/** Values of a picture, row by row. */
const filled = (height: number, width: number, value: (y: number, x: number) => number): Float32Array =>
  Float32Array.from({ length: height * width }, (_, i) => value(Math.trunc(i / width), i % width));

/** What the fixture's `picture.png` shows. */
const colours = Uint8Array.from({ length: 144 }, (_, i) => {
  const [y, x] = [Math.trunc(i / 24), Math.trunc(i / 3) % 8];
  return [20 * y, 30 * x, 100][i % 3];
});

/** Frame n of the fixture's MATLAB file. */
function frame(n: number): DepthExample {
  return {
    pixels: Uint8Array.from({ length: 144 }, (_, i) => {
      const [y, x] = [Math.trunc(i / 24), Math.trunc(i / 3) % 8];
      return (n * 20 + (i % 3) * 60 + x * 5 + y) % 256;
    }),
    depth: filled(6, 8, (y, x) => 1 + n / 2 + x / 16 + y / 64),
    height: 6,
    width: 8,
  };
}

Deno.test("NYU's MATLAB file: frames upright, the last tenth for testing", () =>
  withFolder({ "nyu.mat": nyu }, async (folder) => {
    const { train, test, protocol } = await openDepthData(`nyu:${folder}/nyu.mat`);
    assertEquals([train.size, test.size, train.name], [11, 1, "nyu-labelled/train"]);
    assertEquals([protocol.maxDepth, protocol.crop], [10, "eigen"]);
    assertEquals(await train.get(0), frame(0));
    assertEquals(await train.get(7), frame(7));
    assertEquals(await test.get(0), frame(11));
    assertThrows(() => train.get(11), OneloraError, "allowed: 0 to 10");
  }));

for (const kind of ["packed", "plain"]) {
  Deno.test(`NYU's MATLAB file: splits.mat beside it says which frames are for testing (${kind})`, async () =>
    await withFolder({ "nyu.mat": nyu, "splits.mat": await file(`splits-${kind}.mat`) }, async (folder) => {
      const { train, test } = await openDepthData(`nyu:${folder}/nyu.mat`);
      assertEquals([train.size, test.size], [9, 3]);
      assertEquals(await Promise.all([0, 1, 2].map((i) => test.get(i))), [1, 4, 11].map(frame));
      assertEquals(await train.get(1), frame(2));
    }));
}

Deno.test("MATLAB files that cannot be used are refused in one line", async () => {
  const refused = async (files: Record<string, Uint8Array | string>, found: string) =>
    await withFolder(files, async (folder) => {
      const error = await assertRejects(() => openDepthData(`nyu:${folder}/nyu.mat`), OneloraError, found);
      assert(error instanceof Error && !error.message.includes("\n"), String(error));
    });
  await refused({ "nyu.mat": await file("nyu-no-depths.mat") }, "nyu.mat: found no images or no depths");
  await refused({ "nyu.mat": await file("nyu-other-depths.mat") }, "images of [6,8,3,12] and depths of [7,8,12]");
  await refused({ "nyu.mat": "MATLAB 5.0 MAT-file" }, `starts with "MATLAB 5.0 MAT-file"`);
  await refused({ "nyu.mat": "" }, `starts with ""`);
  await refused({}, "nyu.mat: found");
  await refused({ "nyu.mat": nyu.subarray(0, 700) }, "nyu.mat: found");
  await refused({ "nyu.mat": nyu, "splits.mat": await file("splits-beyond.mat") }, "test frame 13; allowed: 1 to 12");
  await refused({ "nyu.mat": nyu, "splits.mat": "text" }, "splits.mat: found 4 bytes without its header");
  const packed = await file("splits-packed.mat");
  for (let length = 0; length < packed.length; length += 7) {
    await refused({ "nyu.mat": nyu, "splits.mat": packed.subarray(0, length) }, "splits.mat: found");
  }
});

const nyuFolder = {
  "nyudepthv2_train_files_with_gt.txt":
    "/kitchen/rgb.jpg /kitchen/depth.png 518.8579\n\n/kitchen/b.png None 518.8579\r\n/kitchen/b.png /kitchen/b_depth.png 518.8579\n",
  "nyudepthv2_test_files_with_gt.txt": "bath/rgb.png bath/depth.png 518.8579\n",
  "sync/kitchen/rgb.jpg": jpeg,
  "sync/kitchen/depth.png": depth16,
  "sync/kitchen/b.png": picture,
  "sync/kitchen/b_depth.png": depth16,
  "official_splits/test/bath/rgb.png": picture,
  "official_splits/test/bath/depth.png": depth16,
};

Deno.test("NYU's folders with split lists: 16-bit depth in steps of a millimetre, lines without depth left out", () =>
  withFolder(nyuFolder, async (folder) => {
    const { train, test, protocol } = await openDepthData(`nyu:${folder}/`);
    assertEquals([train.size, test.size, test.name, protocol.brightness[0]], [2, 1, "nyu/test", 0.75]);
    const depth = filled(6, 8, (y, x) => (1000 * y + 7 * x) / 1000);
    assertEquals(await test.get(0), { pixels: colours, depth, height: 6, width: 8 });
    assertEquals(await train.get(1), await test.get(0));
    const { pixels, depth: same } = await train.get(0);
    assertEquals(same, depth);
    pixels.forEach((value, i) => assert(Math.abs(value - [200, 100, 50][i % 3]) < 5, `${value}`));
  }));

Deno.test("a corrupt picture or depth map is left out with a line that names it, or fails if strict", () =>
  withFolder({
    "train.txt": [
      "a.png d.png",
      "a.png noise.png",
      "a.png eight.png",
      "cut.png d.png",
      "a.png gone.png",
      "a.png big.png",
      "a.png a.png",
    ]
      .join("\n"),
    "a.png": picture,
    "d.png": depth16,
    "noise.png": "noise",
    "eight.png": depth8,
    "cut.png": picture.subarray(0, picture.length - 30),
    "big.png": kittiDepth,
  }, async (folder) => {
    const { train, test } = await openDepthData(`nyu:${folder}`);
    assertEquals([train.size, test.size], [7, 0]);
    assertThrows(() => test.get(0), OneloraError, "the data has no such part");
    const told: string[] = [];
    const transform = depthEvaluationTransform({ height: 6, width: 8, mean: [0, 0, 0], std: [1, 1, 1] });
    const options = { dataset: train, transform, batchSize: 7, seed: 0, shuffle: false };
    const [batch, ...rest] = await Array.fromAsync(depthBatches({ ...options, onSkip: (line) => told.push(line) }));
    assertEquals([batch.shape, batch.depthShape, [...batch.indices], rest], [[1, 3, 6, 8], [1, 6, 8], [0], []]);
    assertAlmostEquals(batch.depth[9], 1.007, 1e-6);
    const lines = [
      "noise.png: found",
      "eight.png: found png of 1 channels of uchar",
      "cut.png: found",
      "gone.png: found no such file",
      "found a picture of 6x8 and depth of 375x1242 pixels",
      "a.png: found png of 3 channels of uchar",
    ];
    assertEquals(told.length, lines.length);
    lines.forEach((part, i) => assert(told[i].includes(part) && !told[i].includes("\n"), told[i]));
    await assertRejects(() => depthBatches({ ...options, strict: true }).next(), OneloraError, "noise.png");
    await assertRejects(() => depthBatches({ ...options, dataset: test }).next(), OneloraError, "no examples");
  }));

Deno.test("split lists: wrong lines are refused by number, folders without lists too", async () => {
  for (const line of ["only.png", "a b c", "a b 1 2", "../a.png b.png 1", "a.png x/../../b.png"]) {
    assertThrows(() => parseSplitList(`a.png b.png 1\n${line}\n`, "list"), OneloraError, "reading list, line 2");
  }
  assertEquals(parseSplitList("a.png b.png", "list").length, 1);
  await withFolder({ "notes.md": "" }, async (folder) => {
    await assertRejects(() => openDepthData(`kitti:${folder}`), OneloraError, "0 lists for training and 0 for testing");
  });
  await withFolder({ "train.txt": "", "training.txt": "" }, async (folder) => {
    await assertRejects(() => openDepthData(`nyu:${folder}`), OneloraError, "2 lists for training");
  });
});

Deno.test("KITTI: the benchmark's crop, 256 steps a metre, raw and annotated depth in their own folders", () => {
  const drive = "2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000069.png";
  const truth = "2011_09_26_drive_0002_sync/proj_depth/groundtruth/image_02/0000000069.png";
  return withFolder({
    "kitti_eigen_test_files_with_gt.txt": `${drive} ${truth} 721.5377\n${drive} None 721.5377\n`,
    "kitti_eigen_train_files_with_gt.txt": `${drive} small.png 721.5377\nsmall.png small_depth.png 721.5377\n`,
    [`raw/${drive}`]: kitti,
    [`val/${truth}`]: kittiDepth,
    "raw/small.png": picture,
    "small_depth.png": depth16,
  }, async (folder) => {
    const { train, test, protocol } = await openDepthData(`kitti:${folder}`);
    assertEquals([train.size, test.size, protocol.crop, protocol.maxDepth], [2, 1, "garg", 80]);
    const { pixels, depth, height, width } = await test.get(0);
    assertEquals([height, width], [352, 1216]);
    // Rows from 375 - 352, columns from (1242 - 1216) / 2.
    assertEquals([...pixels.subarray(0, 3)], [23, 13, 0]);
    const step = (y: number, x: number) => x % 40 === 3 && y % 20 === 14 ? 100 * y + x : 0;
    assertEquals(depth, filled(352, 1216, (y, x) => step(y + 23, x + 13) / 256));
    await assertRejects(async () => await train.get(0), OneloraError, "reading small.png: found no such file");
    await assertRejects(async () => await train.get(1), OneloraError, "6x8 pixels; allowed: at least 352x1216");
  });
});

Deno.test("KITTI's crop of an odd width begins at the pixel before the middle", () => {
  const [height, width] = [375, 1241];
  const depth = Float32Array.from({ length: height * width }, (_, at) => at);
  const cut = kittiCrop({ pixels: new Uint8Array(3 * height * width), depth, height, width }, "a picture");
  assertEquals([cut.height, cut.width, cut.depth[0]], [352, 1216, 23 * width + 12]);
});

const scan = (place: string) => `${place}/scene_00019/scan_00183/00019_00183_010`;
const diode = {
  [`${scan("val/indoors")}.png`]: picture,
  [`${scan("val/indoors")}_depth.npy`]: diodeDepth,
  [`${scan("val/indoors")}_depth_mask.npy`]: diodeMask,
  [`${scan("train/outdoor")}.png`]: picture,
};

Deno.test("DIODE: the mask leaves pixels out, domains and parts are told apart", () =>
  withFolder(diode, async (folder) => {
    const { train, test, protocol } = await openDepthData(`diode-indoor:${folder}`);
    assertEquals([train.size, test.size, test.name, protocol.crop], [0, 1, "diode-indoor/test", "none"]);
    const depth = filled(6, 8, (y, x) => (x + y) % 3 > 0 ? 0.5 * y + 0.125 * x : 0);
    assertEquals(await test.get(0), { pixels: colours, depth, height: 6, width: 8 });
    const outdoor = await openDepthData(`diode-outdoor:${folder}`);
    assertEquals([outdoor.train.size, outdoor.test.size, outdoor.protocol.crop], [1, 0, "garg"]);
    await assertRejects(async () => await outdoor.train.get(0), OneloraError, "_depth.npy: found");
  }));

Deno.test("DIODE: wrong shapes, masks of other sizes and empty folders are refused", async () => {
  const read = (changes: Record<string, Uint8Array>) =>
    withFolder({ ...diode, ...changes }, async (folder) => {
      return await (await openDepthData(`diode-indoor:${folder}`)).test.get(0);
    });
  const at = scan("val/indoors");
  const [two, one] = await Promise.all([file("little-f4.npy"), file("scalar.npy")]);
  await assertRejects(() => read({ [`${at}_depth_mask.npy`]: two }), OneloraError, "2x3 values; allowed: 6x8");
  await assertRejects(() => read({ [`${at}_depth.npy`]: one }), OneloraError, "shape []; allowed: [height, width]");
  const both = { [`${at}_depth.npy`]: two, [`${at}_depth_mask.npy`]: two };
  await assertRejects(() => read(both), OneloraError, "a picture of 6x8 and depth of 2x3 pixels");
  await withFolder({ "val/outdoor/notes.txt": "" }, async (folder) => {
    await assertRejects(() => openDepthData(`diode-outdoor:${folder}`), OneloraError, "found no picture");
    await assertRejects(() => openDepthData(`diode-indoor:${folder}`), OneloraError, "found no picture");
  });
});

const kinds = [
  ...["bool", "u1", "i1"],
  ...["u2", "i2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"].map((kind) => `little-${kind}`),
  ...["u2", "i4", "f2", "f4", "f8"].map((kind) => `big-${kind}`),
];

for (const kind of kinds) {
  Deno.test(`.npy as NumPy writes it: ${kind}`, async () => {
    const values = [0, 1, 100, 7, 55, 120].map((value) => kind === "bool" ? Math.min(value, 1) : value);
    const whole = !/f\d$/.test(kind);
    assertEquals(parseNpy(await file(`${kind}.npy`), kind), { shape: [2, 3], data: Float32Array.from(values), whole });
  });
}

Deno.test(".npy: scalars and either order are read; other types, lengths and every truncation are refused", async () => {
  assertEquals(parseNpy(await file("scalar.npy"), "s"), { shape: [], data: Float32Array.of(2.5), whole: false });
  const refused = (bytes: Uint8Array, found: string) =>
    assertThrows(() => parseNpy(bytes, "x.npy"), OneloraError, `reading x.npy: found ${found}`);
  assertEquals(parseNpy(await file("fortran.npy"), "f").data, Float32Array.of(0, 1, 100, 7, 55, 120));
  const { shape, data } = parseNpy(await file("fortran-deep.npy"), "f");
  assertEquals([shape, [...data]], [[2, 3, 2], Array.from({ length: 12 }, (_, i) => i)]);
  refused(await file("complex.npy"), "type c8");
  const good = await file("little-f4.npy");
  for (let length = 0; length < good.length; length++) refused(good.subarray(0, length), "");
  refused(Uint8Array.from([...good, 0]), "25 bytes after the header");
  refused(good.with(6, 9), "version 9");
  refused(good.with(20, 33), `"{'descr'`);
});

Deno.test("depth data by name: wrong names and forms are wrong usage", async () => {
  const refused: readonly (readonly [string, string])[] = [
    ["scenes-indor", `did you mean "scenes-indoor"?`],
    ["scenes-indoor:/x", "scenes-indoor, without a folder"],
    ["kitti", "kitti:DIR, with its folder"],
    ["nyu:", "nyu:DIR, with its folder"],
    [
      "toString",
      "allowed: scenes-indoor, scenes-driving, scenes-outdoor, nyu:FILE.mat, nyu:DIR, kitti:DIR, diode-indoor:DIR",
    ],
  ];
  for (const [spec, text] of refused) {
    const error = await assertRejects(() => openDepthData(spec), OneloraError, text);
    assertEquals(error instanceof OneloraError && error.exitCode, 2);
  }
});

Deno.test("pairs of one's own: names of any kind, parts, a list, a scale; what has no partner is named", async () => {
  await withFolder({
    "train/rgb/a_1.png": picture,
    "train/depth/a-1.png": depth16,
    "train/rgb/b_2_image.jpg": jpeg,
    "train/depth/b_2_gt.png": depth16,
    "train/rgb/alone.png": picture,
    "test/rgb/a_1.png": picture,
    "test/depth/a_1.png": depth16,
    "notes.txt": "x",
    "list.csv": "image,depth\ntrain/rgb/a_1.png,train/depth/a-1.png\ntest/rgb/a_1.png,test/depth/a_1.png\n,x\n",
  }, async (folder) => {
    const open = (spec: string, scale?: number, more = {}) =>
      openDepthData(`pairs:${folder}${spec}`, {}, { scale, ...more });
    const { train, test, notes, protocol } = await open("", 1000, { maxDepth: 5 });
    assertEquals([train.size, test.size, protocol.maxDepth], [2, 1, 5]);
    assertEquals(notes, [
      `left out of ${folder}: 2 that are no pictures or maps (list.csv, notes.txt)`,
      `left out of ${folder}: 1 pictures without a map (train/rgb/alone.png)`,
    ]);
    const [millimetres, halves] = [await train.get(0), await (await open("", 2000)).train.get(0)];
    assertEquals(halves.depth, millimetres.depth.map((metres) => metres / 2));
    const list = await open("/list.csv", 1000);
    assertEquals([list.train.size, list.test.size], [1, 1]);
    assertEquals(list.notes, [`left out of ${folder}/list.csv: 1 without a picture or a map (line 4)`]);
    const refused: readonly (readonly [string, number | undefined, object, string])[] = [
      ["", undefined, {}, "`depthScale`"],
      ["", 1000, { strict: true }, "left out"],
      ["/train/rgb", 1000, {}, "0 pairs"],
    ];
    for (const [spec, scale, more, text] of refused) {
      await assertRejects(() => open(spec, scale, more), OneloraError, text);
    }
    await Deno.writeFile(`${folder}/train/depth/a_1.png`, depth16);
    await assertRejects(() => open("", 1000), OneloraError, "which have the same words");
    await assertRejects(() => openDepthData("scenes-indoor", {}, { scale: 1 }), OneloraError, "`depthScale` for");
  });
});
