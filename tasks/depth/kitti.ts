/**
 * KITTI depth (Geiger et al. 2013, Uhrig et al. 2017): raw pictures and annotated depth with Eigen's split lists.
 *
 * @module
 */

import { OneloraError } from "../../dsl/error.ts";
import { type DepthExample, depthProtocols, type DepthSplits } from "./dataset.ts";
import { openListed } from "./lists.ts";

const HEIGHT = 352;
const WIDTH = 1216;

/**
 * The benchmark's crop, 352 x 1216: the lowest rows and the middle columns, for nothing is measured in the sky.
 *
 * @param example A whole picture
 * @param name What to call it in errors
 */
export function kittiCrop(example: DepthExample, name: string): DepthExample {
  const { height, width } = example;
  const [top, left] = [height - HEIGHT, Math.trunc((width - WIDTH) / 2)];
  if (top < 0 || width < WIDTH) {
    throw new OneloraError({
      attempted: `cropping ${name}`,
      found: `${height}x${width} pixels`,
      allowed: `at least ${HEIGHT}x${WIDTH}`,
    });
  }
  const pixels = new Uint8Array(3 * HEIGHT * WIDTH);
  const depth = new Float32Array(HEIGHT * WIDTH);
  for (let row = 0; row < HEIGHT; row++) {
    const from = (top + row) * width + left;
    depth.set(example.depth.subarray(from, from + WIDTH), row * WIDTH);
    pixels.set(example.pixels.subarray(3 * from, 3 * (from + WIDTH)), 3 * row * WIDTH);
  }
  return { pixels, depth, height: HEIGHT, width: WIDTH };
}

/**
 * KITTI from a folder with the split lists (e.g. `kitti_eigen_train_files_with_gt.txt`), the pictures in it or in `raw`, and
 * the annotated depth (16-bit PNG, 256 steps a metre) in it or in `gts`, `train`, `val`, `data_depth_annotated/train`,
 * `data_depth_annotated/val`.
 *
 * @param folder The folder
 */
export async function openKitti(folder: string): Promise<DepthSplits> {
  const annotated = ["train", "val"];
  const parts = await openListed(folder, {
    name: "kitti",
    imageFolders: ["raw", ""],
    depthFolders: ["gts", ...annotated, ...annotated.map((part) => `data_depth_annotated/${part}`), ""],
    unit: 256,
    cut: kittiCrop,
  });
  return { ...parts, protocol: depthProtocols.kitti };
}
