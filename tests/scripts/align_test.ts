import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { failure, json, output } from "../support/command.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

Deno.test("one command trains what Figure 9 needs and draws it, for classification and depth", async () => {
  const tasks = [["image-classification", ["q", "fc2"]], ["depth", ["fc1", "fc2"]]] as const;
  await Promise.all(tasks.map(async ([task, kinds]) => {
    const out = `${folder}/figure9/${task}`;
    const micro = ["--micro", "--task", task, "--steps", "1", "--backend", "wasm", "--out", out];
    // For depth the command trains both. A classifier's run evaluates the whole of its test data: here
    // they are trained before, on few, and found finished.
    const few = ["--data", "mnist", "--steps", "1", "--limit", "32", "--backend", "wasm"];
    for (const adapter of task === "depth" ? [] : ["lora", "all"]) {
      const rate = adapter === "all" ? ["--lr", "0.001"] : [];
      await output("train", ...few, ...rate, "--adapter", adapter, "--out", `${out}/${adapter}`);
    }
    const table = await output("align", ...micro);
    for (const kind of kinds) assertMatch(table, new RegExp(`^\\| ${kind} \\| +\\d+ \\| summation \\|`, "m"));
    assertEquals([(await json(`${out}/all/config.json`)).adapter, (await json(`${out}/all/config.json`)).lr], [
      ...["all", 0.001],
    ]);
    assertStringIncludes(await Deno.readTextFile(`${out}/figure9.svg`), "<svg");
    const { mtime } = await Deno.stat(`${out}/lora/summary.json`);
    assertEquals(await output("align", ...micro), table);
    assertEquals((await Deno.stat(`${out}/lora/summary.json`)).mtime, mtime);
  }));
});

Deno.test("Figure 9 is a part of --paper all, whose page says which tables are not there", async () => {
  const flags = ["--micro", "--only", "figure9", "--steps", "1", "--backend", "wasm", "--out", folder];
  const { mtime } = await Deno.stat(`${folder}/figure9/depth/lora/summary.json`);
  const tables = await output("sweep", "--paper", "all", ...flags);
  assertMatch(tables, /^### Figure 9, image-classification\n[^]*\| fc2 [^]*^### Figure 9, depth\n[^]*\| fc2 /m);
  assertEquals((await Deno.stat(`${folder}/figure9/depth/lora/summary.json`)).mtime, mtime);
  const page = await Deno.readTextFile(`${folder}/paper.html`);
  assertEquals([...page.matchAll(/<figure>/g)].length, 2);
  assertMatch(page, /Not there yet: S1-NYU-KITTI, [^.]*S12\. <code>deno task sweep --paper all --micro --only S1-NYU/);
});

Deno.test("align says which runs it lacks", async () => {
  const lora = `${folder}/figure9/depth/lora`;
  const cases: readonly [readonly string[], string][] = [
    [[], "no --full"],
    [["--full", "x"], "no --lora"],
    [["--micro", "--lora", "x"], "--lora beside --micro"],
    [["--full", lora, "--lora", lora], "found a run of lora; allowed: one of --adapter all"],
    [["--full", "x", "--lora", "y", "--steps", "2"], "--steps without --micro"],
  ];
  for (const [args, words] of cases) {
    const [code, line] = await failure("align", ...args);
    assert(line.includes(words), line);
    assertEquals(code, 2);
  }
});
