/**
 * Where the paper's models and data are, and how much there is of them, before they are here.
 *
 * @module
 */
import type { Model } from "../../../models/mod.ts";

/** Where published data and models are, by how their names begin, and about how many examples are trained on. */
const SOURCES: readonly (readonly [prefix: string, address: string, examples?: number])[] = [
  ["nyu:", "https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html", 24_231],
  ["kitti:", "https://www.cvlibs.net/datasets/kitti/raw_data.php, with the depth data set; Eigen's split", 23_158],
  ["diode-", "https://diode-dataset.org"],
  ["cifar10:", "https://www.cs.toronto.edu/~kriz/cifar.html", 50_000],
  ["cifar100:", "https://www.cs.toronto.edu/~kriz/cifar.html", 50_000],
  ["food101:", "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/", 75_750],
  ["metamath:", "https://huggingface.co/datasets/meta-math/MetaMathQA", 316_000],
  ["depth-anything-", "https://github.com/LiheYoung/Depth-Anything, metric_depth: its metric checkpoints"],
  ["dit-xl-2=", "https://github.com/facebookresearch/DiT"],
  ["hf:", "Hugging Face's hub, fetched when it is first used"],
];

/** Classes of published and built-in data: what a run's model tells apart, whatever it did before. */
const CLASSES: Readonly<Record<string, number>> = {
  ...{ mnist: 10, "fashion-mnist": 10, cifar10: 10, cifar100: 100, food101: 101 },
};

/**
 * A model for some data's classes, where their number is known.
 *
 * @param model The model
 * @param data The data, as `--data` takes them
 */
export function forData(model: Model, data: string): Model {
  const count = CLASSES[data.replace(/:.*$/s, "")];
  return count === undefined ? model : model.with({ labels: Array.from({ length: count }, (_, i) => `${i}`) });
}

/**
 * About how many examples some data have to train on; undefined where that is not known.
 *
 * @param data The data, as `--data` takes them
 */
export function examplesOf(data: string): number | undefined {
  return SOURCES.find(([prefix]) => data.startsWith(prefix))?.[2];
}

/**
 * Where a model or data are to be had.
 *
 * @param name As `--model` or `--data` takes it
 */
export function sourceOf(name: string): string {
  const [, address = name.includes(":") || name.includes("/") || name.includes("=") ? "a file or folder" : "built in"] =
    SOURCES.find(([prefix]) => name.startsWith(prefix)) ?? [];
  return address;
}
