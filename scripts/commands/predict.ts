/**
 * `deno task predict`: what a model predicts for pictures, printed and written.
 *
 * @module
 */
import { dispose, type Tensor } from "@tensorflow/tfjs-core";
import { writeNumbers } from "../../dsl/files/json.ts";
import { OneloraError, useBackend } from "../../dsl/mod.ts";
import { openModel } from "../../models/mod.ts";
import { type NamedPicture, readColourImage, taskKinds } from "../../tasks/mod.ts";
import { taskOf } from "../../tasks/kinds.ts";
import { forwardNeeds } from "../../tasks/trainer/room.ts";
import { attempt } from "../cli/attempt.ts";
import { boolean, list, main, required, text } from "../cli/mod.ts";
import { modelMeant, openNoting } from "../cli/opened.ts";
import { backendFlag, trainedFlags, usage } from "../cli/options.ts";
import { listPictures } from "./predict/pictures.ts";

/** The tasks that predict for pictures. */
const able = Object.values(taskKinds).filter(({ pictures }) => pictures !== undefined);

const flags = {
  ...trainedFlags,
  image: required(list({ help: "Pictures, or folders of them; --image may be left out", value: "FILE" })),
  output: text({
    help: able.flatMap(({ name, pictures }) => pictures?.writes === undefined ? [] : [`${name}: ${pictures.writes}`])
      .join("; "),
    value: "FILE.png",
  }),
  ...backendFlag,
  json: boolean({ help: "Print a line of JSON for each picture" }),
};

/** What fails with one of many pictures names it. */
async function naming<Result>(path: string, predict: () => Promise<Result>): Promise<Result> {
  try {
    return await predict();
  } catch (error) {
    if (!(error instanceof OneloraError) || error.problem.attempted.includes(path)) throw error;
    const attempted = `predicting for ${path}: ${error.problem.attempted}`;
    throw new OneloraError({ ...error.problem, attempted }, { cause: error });
  }
}

await main(
  {
    name: "predict",
    summary: `Predicts for pictures: ${able.map(({ summary }) => summary).join("; ")}.`,
    flags,
    bare: "image",
  },
  attempt(async ({ options: { model, adapter, image, output, backend, threads, json } }) => {
    const name = await modelMeant(model, adapter);
    const described = await openModel(name);
    const kind = taskOf(described);
    const prediction = kind?.pictures;
    if (kind === undefined || prediction === undefined) {
      const allowed = able.map(({ models }) => models).join(", ");
      throw usage(`predicting for pictures with ${name}`, `a ${described.family} model`, allowed);
    }
    // What `--output` is no good for is said before pictures are looked for.
    if (prediction.writes === undefined) prediction.places([], output);
    const notes: string[] = [];
    const paths = await listPictures(image, (line) => notes.push(line));
    const places = prediction.places(paths, output);
    const read = async (path: string): Promise<NamedPicture> => ({ path, ...await readColourImage(path) });
    // What cannot be read is said before a model is loaded.
    const first = await read(paths[0]);
    await useBackend(backend, { threads });
    for (const note of notes) console.error(`note: ${note}`);
    const opened = await openNoting(described.name, adapter, {
      holding: { reading: "passes" },
      use: {
        attempted: `predicting for ${paths[0]} with ${name}`,
        needs: (model) => forwardNeeds(kind, model, prediction.size(model, first)),
      },
    });
    try {
      for (const [i, path] of paths.entries()) {
        const { data, lines } = await naming(
          path,
          async () => await prediction.predict(opened, i === 0 ? first : await read(path), places[i]),
        );
        console.log(json ? writeNumbers(data) : lines.join("\n"));
      }
    } finally {
      dispose(opened.params as Record<string, Tensor>);
    }
  }),
);
