/**
 * Depth of pictures in files, as files.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { basename, dirname, extname, join } from "../../dsl/files/path.ts";
import { makeFolder, writeWhole } from "../../dsl/files/write.ts";
import type { PicturePrediction } from "../trainer/prediction.ts";
import { depthKindOf, depthSteps, encodeDepthColours, encodeDepthPng } from "./encode.ts";
import { depthInput, predictDepth } from "./predict.ts";

function refused(found: string, allowed: string): OneloraError {
  return new OneloraError({ attempted: "choosing where depth goes", found, allowed }, { exitCode: 2 });
}

/** Where a picture's depth goes. */
export interface DepthFiles {
  /** The map of 16 bits. */
  readonly depth: string;
  /** The coloured picture. */
  readonly colour: string;
}

/**
 * Where the depth of each picture goes: `NAME-depth.png` in the working folder or a folder given, or for a single picture
 * the file given; the coloured picture's name ends in `-colour.png`.
 *
 * @param pictures The pictures
 * @param output A file that ends in `.png`, for one picture, or a folder
 * @throws OneloraError (exit code 2) for names that are no good
 */
function depthFiles(pictures: readonly string[], output?: string): readonly DepthFiles[] {
  const isFile = output !== undefined && extname(output).toLowerCase() === ".png";
  if (output !== undefined && isFile !== (pictures.length === 1)) {
    throw refused(
      `\`output: ${output}\` for ${pictures.length} pictures`,
      [
        "a file that ends in .png for one picture",
        "a folder for several",
      ].join(", "),
    );
  }
  const stems = pictures.map((picture) =>
    isFile ? output.slice(0, -".png".length) : join(output ?? "", `${basename(picture, extname(picture))}-depth`)
  );
  const twice = stems.find((stem, i) => stems.indexOf(stem) !== i);
  if (twice !== undefined) {
    throw refused(`${twice}.png twice`, "pictures of different names");
  }
  const files = stems.map((stem) => ({ depth: `${stem}.png`, colour: `${stem}-colour.png` }));
  const lost = files.flatMap(({ depth, colour }) => [depth, colour]).find((file) => pictures.includes(file));
  if (lost !== undefined) throw refused(`${lost}, which is to be read`, "another name");
  return files;
}

/**
 * Writes a picture, and its folder if there is none.
 *
 * @param path Where
 * @param png What
 */
async function writePicture(path: string, png: Uint8Array): Promise<void> {
  await makeFolder(dirname(path));
  await writeWhole(path, png);
}

/** Depth of pictures in files: maps of 16 bits, and coloured ones beside them. */
export const depthOfPictures: PicturePrediction<DepthFiles> = {
  writes: "file for one picture, folder for several (default: NAME-depth.png here); coloured beside it",
  places: depthFiles,
  size: (model, { path: _, ...picture }) => {
    const { height, width } = depthInput(picture, model.image!);
    return { batch: 1, length: 0, picture: { height, width } };
  },
  predict: async ({ model, layer, params }, { path, ...picture }, files) => {
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
  },
};
