/**
 * The four built-in jobs, an evaluation, a text and sampled pictures on whatever TensorFlow computes on, and their metrics
 * beside those of another machine's:
 *
 *     deno run --allow-read --allow-write --allow-env --allow-run scripts/tools/gpu/built_in.ts OUT [OTHER-OUT]
 *
 * All jobs run at once. `OUT/metrics.json` holds what came of them; `ONELORA_STEPS` shortens them, `ONELORA_JOBS=generation`
 * takes those alone, by the names of their folders.
 *
 * @module
 */
const [out, other] = Deno.args;
const steps = Deno.env.get("ONELORA_STEPS") || undefined;

/** A command of ours by name, as its task in deno.json runs it. */
async function run(name: string, args: readonly string[], log: string): Promise<string> {
  const started = performance.now();
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", name, ...args],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const [said, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  await Deno.writeTextFile(`${out}/${log}.log`, `${said}${errors}`);
  console.log(`${log}: exit ${code}, ${seconds} s${code === 0 ? "" : `\n${errors.trim().split("\n").at(-1)}`}`);
  return code === 0 ? said : "";
}

/** Numbers of a JSON file of results, by name. */
async function numbersOf(path: string): Promise<Readonly<Record<string, number>>> {
  try {
    const { metrics } = JSON.parse(await Deno.readTextFile(path));
    return Object.fromEntries(Object.entries(metrics).filter(([, value]) => typeof value === "number")) as Record<
      string,
      number
    >;
  } catch {
    return {};
  }
}

/** The last lines of text that hold numbers. */
function lastLine(said: string): string {
  return said.trim().split("\n").at(-1) ?? "";
}

await Deno.mkdir(out, { recursive: true });
const common = ["--backend", "tensorflow", ...steps === undefined ? [] : ["--steps", steps]];
const trainings: Readonly<Record<string, readonly string[]>> = {
  "image-classification": common,
  depth: ["--task", "depth", ...common],
  reasoning: ["--task", "reasoning", ...common],
  generation: ["--task", "generation", ...common],
  // Long enough for the step to be compiled as a whole.
  "image-classification-long": ["--backend", "tensorflow", "--steps", "600"],
  "image-classification-bf16": ["--backend", "tensorflow", "--steps", "600", "--precision", "bf16"],
};
const chosen = Deno.env.get("ONELORA_JOBS")?.split(",") ?? Object.keys(trainings);
const unknown = chosen.filter((name) => trainings[name] === undefined);
if (unknown.length > 0) throw new Error(`no job ${unknown}; there are ${Object.keys(trainings)}`);
/** A run of the model that a job trained, if that was chosen. */
const after = async (name: string, run: () => Promise<void>) => {
  if (chosen.includes(name)) await run();
};
const found: Record<string, unknown> = {};
await Promise.all(
  Object.entries(trainings).filter(([name]) => chosen.includes(name)).map(async ([name, args]) => {
    await run("train", [...args, "--out", `${out}/${name}`], `train-${name}`);
    found[`train ${name}`] = await numbersOf(`${out}/${name}/summary.json`);
  }),
);
await Promise.all([
  after("image-classification", async () => {
    const said = await run("evaluate", ["--run", `${out}/image-classification`, "--backend", "tensorflow"], "evaluate");
    found["evaluate image-classification"] = lastLine(said);
  }),
  after("generation", async () => {
    await run("generate", [
      ...["--model", "dit-micro", "--adapter", `${out}/generation/adapter`, "--backend", "tensorflow"],
      ...["--output", `${out}/samples.png`],
    ], "generate-pictures");
  }),
  after("reasoning", async () => {
    found["generate text"] = await run("generate", [
      ...["--model", "llama-micro", "--adapter", `${out}/reasoning/adapter`, "--backend", "tensorflow"],
      ...["--prompt", "Question: Tom has 3 apples and buys 4 more.", "--max-tokens", "32"],
    ], "generate-text");
  }),
]);
await Deno.writeTextFile(`${out}/metrics.json`, `${JSON.stringify(found, null, 2)}\n`);
const theirs = other === undefined ? {} : JSON.parse(await Deno.readTextFile(`${other}/metrics.json`));
for (const [name, value] of Object.entries(found)) {
  console.log(`${name}\n  here  ${JSON.stringify(value)}`);
  if (name in theirs) console.log(`  there ${JSON.stringify(theirs[name])}`);
}
