/**
 * `deno task predict`: depth of pictures, or what is in them.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { useBackend } from "../../dsl/mod.ts";
import { openModel } from "../../models/mod.ts";
import {
  depthKindOf,
  depthSteps,
  encodeDepthColours,
  encodeDepthPng,
  type OpenedModel,
  predictClasses,
  predictDepth,
} from "../../tasks/mod.ts";
import { loadSharp } from "../../tasks/data/sharp.ts";
import { readColours } from "../../tasks/depth/files.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, main, required, text } from "../cli/mod.ts";
import { openNoting } from "../cli/opened.ts";
import { backendFlag, trainedFlags, usage } from "../cli/options.ts";
import { depthFiles, listPictures, writePicture } from "./predict/pictures.ts";

const flags = {
  ...trainedFlags,
  model: required(trainedFlags.model),
  image: required(text({ help: "Picture, several separated by commas, or a folder of pictures", value: "FILE" })),
  output: text({
    help: "Depth: file for one picture, folder for several (default: NAME-depth.png here); coloured beside it",
    value: "FILE.png",
  }),
  ...backendFlag,
  json: boolean({ help: "Print a line of JSON for each picture" }),
};

/** A decoded picture. */
interface Picture {
  readonly path: string;
  readonly pixels: Uint8Array;
  readonly height: number;
  readonly width: number;
}

/** What is printed of a picture: as data and as lines. */
interface Printed {
  readonly data: Readonly<Record<string, unknown>>;
  readonly lines: readonly string[];
}

async function classesOf({ model, layer, params }: OpenedModel, picture: Picture): Promise<Printed> {
  const { path, ...pixels } = picture;
  const classes = await predictClasses(model, layer, params, { ...pixels, channels: 3 });
  const lines = classes.map(({ label, probability }) => `${(100 * probability).toFixed(2).padStart(6)} %  ${label}`);
  return { data: { image: path, classes }, lines: [path, ...lines] };
}

async function depthOf(
  { model, layer, params }: OpenedModel,
  { path, ...picture }: Picture,
  files: { readonly depth: string; readonly colour: string },
): Promise<Printed> {
  const { height, width } = picture;
  const depth = await predictDepth(layer, params, model.image!, picture);
  const kind = depthKindOf(model);
  const { steps, perUnit, offset } = depthSteps(depth, kind);
  await writePicture(files.depth, await encodeDepthPng(steps, height, width));
  await writePicture(files.colour, await encodeDepthColours(depth, kind, height, width));
  const meaning = kind.kind === "metric"
    ? `metres = value / ${perUnit}`
    : `inverse depth, up to scale and shift = ${offset.toPrecision(6)} + value / ${perUnit.toPrecision(6)}`;
  return {
    data: { image: path, output: files.depth, colour: files.colour, height, width, kind: kind.kind, perUnit, offset },
    lines: [`${path} -> ${files.depth}, ${files.colour}: ${meaning}`],
  };
}

await main(
  { name: "predict", summary: "Predicts the depth of pictures, or what is in them.", flags },
  attempt(async ({ options: { model: name, adapter, image, output, backend, json } }) => {
    const { family, name: pinned } = await openModel(name);
    const isDepth = family === "depth_anything";
    if (!isDepth && family !== "vit") {
      throw usage(`predicting for pictures with ${name}`, `a ${family} model`, "a vit or depth_anything model");
    }
    if (!isDepth && output !== undefined) {
      throw usage("predicting classes", `--output ${output}`, "no --output: classes are printed");
    }
    const paths = await listPictures(image);
    const files = isDepth ? depthFiles(paths, output) : [];
    const sharp = await loadSharp();
    const read = async (path: string): Promise<Picture> => {
      const { values: pixels, height, width } = await readColours(sharp, path, true);
      return { path, pixels, height, width };
    };
    // What cannot be read is said before a model is loaded.
    const first = await read(paths[0]);
    await useBackend(backend);
    const opened = await openNoting(pinned, adapter);
    try {
      for (const [i, path] of paths.entries()) {
        const picture = i === 0 ? first : await read(path);
        const { data, lines } = isDepth ? await depthOf(opened, picture, files[i]) : await classesOf(opened, picture);
        console.log(json ? JSON.stringify(data) : lines.join("\n"));
      }
    } finally {
      dispose(opened.params as Record<string, Tensor>);
    }
  }),
);
