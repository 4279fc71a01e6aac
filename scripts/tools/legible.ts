/**
 * Whether the pictures that a diffusion model samples of classes are what they should be: the share that an independent
 * classifier takes for the class that was asked for.
 *
 *     deno run -A scripts/tools/legible.ts DIT [ADAPTER|-] VIT [ADAPTER|-] [COUNT]
 *
 * Both are presets or folders, each with an adapter of a run on the same data, or none.
 *
 * @module
 */
import { key, useBackend } from "../../dsl/mod.ts";
import { requireTask } from "../../tasks/kinds.ts";
import { openTrained } from "../../tasks/mod.ts";

const [dit, ditAdapter = "-", vit = "vit-micro", vitAdapter = "-", count = "1000"] = Deno.args;

/** A model and what it makes of one input with one seed. */
async function opened(name: string, adapter: string) {
  const trained = await openTrained(name, { key: key(0), ...adapter === "-" ? {} : { adapter } });
  const task = requireTask(trained.model, `opening ${name}`);
  const own: object = task.recipe(name, "").own as object;
  return { ...trained, predict: (input: unknown, seed: number) => task.predict(trained, input, { own, seed }) };
}

await useBackend("auto");
const generator = await opened(dit, ditAdapter);
const classifier = await opened(vit, vitAdapter);
const classes = generator.model.labels!;
const strange = classes.filter((label) => !classifier.model.labels!.includes(label));
if (strange.length > 0) throw new Error(`the classifier knows ${classifier.model.labels}, not ${strange}`);
let right = 0;
for (let i = 0; i < Number(count); i++) {
  const wanted = classes[i % classes.length];
  const [best] = await classifier.predict(await generator.predict(wanted, i), 0) as readonly { label: string }[];
  if (best.label === wanted) right++;
}
console.log(
  `${right} of ${count} pictures are seen as what they should be: ${(100 * right / Number(count)).toFixed(1)} %`,
);
Deno.exit(0);
