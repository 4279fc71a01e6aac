import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { answersReport } from "../../tasks/reasoning/report.ts";
import {
  classificationMetrics,
  startClassification,
  updateClassification,
} from "../../tasks/metrics/classification.ts";
import { calibrationChart } from "../../tasks/report/calibration.ts";
import { svgFile } from "../../tasks/report/chart.ts";
import { writePicture } from "../../tasks/report/folder.ts";
import { writeReport } from "../../tasks/report/report.ts";
import { failure, output, smallCifar } from "../support/command.ts";
import fixture from "../fixtures/events/events.json" with { type: "json" };
import { inFolder } from "../support/data_folder.ts";
import { isWindows } from "../support/system.ts";

/** What is used of an independent XML parser, which refuses what is not well-formed. */
interface Saxes {
  readonly SaxesParser: new () => {
    on(event: "opentag", handler: (tag: Tag) => void): void;
    on(event: "text", handler: (text: string) => void): void;
    on(event: "error", handler: (error: Error) => void): void;
    write(text: string): { close(): void };
  };
}

interface Tag {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
}

// Not a literal at the point of import, which would put the package into the lock file.
const saxes = "npm:saxes@6.0.0";
const { SaxesParser } = await import(saxes) as Saxes;

/** Tags and texts of a document that must be well-formed. */
function parsed(markup: string): { readonly tags: readonly Tag[]; readonly texts: readonly string[] } {
  const [tags, texts]: [Tag[], string[]] = [[], []];
  const parser = new SaxesParser();
  parser.on("opentag", (tag) => tags.push(tag));
  parser.on("text", (text) => texts.push(text));
  parser.on("error", (error) => {
    throw error;
  });
  parser.write(markup).close();
  return { tags, texts };
}

const png = Uint8Array.fromBase64(fixture.written[0].png!);

/** Metrics of a classifier of three classes that is sure of itself by some factor. */
function metricsOf(sureness: number) {
  const labels = Int32Array.from({ length: 60 }, (_, i) => i % 3);
  const logits = Float32Array.from({ length: 180 }, (_, i) => sureness * Math.sin(i * i) + (i % 3 === 1 ? 1 : 0));
  return classificationMetrics(updateClassification(startClassification(3), logits, labels));
}

const config = { task: "image-classification", model: "vit-micro", adapter: "lora", rank: 1, data: "mnist", lr: 0.008 };
const summary = {
  ...config,
  versions: { onelora: "9.8.7", deno: "2.9.6" },
  parameters: { adapter: 4608, head: 970, total: 807_946 },
  steps: 1200,
  seconds: 3723.4,
  stepSeconds: 0.1489,
  peakRssBytes: 304e6,
  metrics: { count: 10_000, accuracy: 0.90991, loss: 0.284 },
};

/** A log as the trainer writes it, its last line cut off. */
function log(steps: number, evalEvery: number): string {
  const lines = Array.from({ length: steps }, (_, i) => {
    const step = i + 1;
    const evaluation = { count: 10_000, accuracy: 1 - 1 / step, loss: 2 / step };
    const record = { step, loss: 2 / step + 0.1 * Math.sin(step), lr: 0.01 * (1 - step / steps), seconds: 0.1 };
    return JSON.stringify(step % evalEvery === 0 ? { ...record, evaluation } : record);
  });
  return `${lines.join("\n")}\n{"step":${steps + 1},"lo`;
}

/** A run's folder with everything in it. */
async function complete(folder: string): Promise<void> {
  const question = { query: "1 + 1?\nOr <2>?", truth: "The answer is: 2", answers: { lora: "The answer is: 3" } };
  await Promise.all([
    Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config)),
    Deno.writeTextFile(`${folder}/summary.json`, JSON.stringify(summary)),
    Deno.writeTextFile(`${folder}/metrics.jsonl`, log(1200, 100)),
    Deno.writeTextFile(`${folder}/evaluation.json`, JSON.stringify(metricsOf(2))),
    Deno.writeTextFile(`${folder}/answers.md`, answersReport([question])),
    writePicture(folder, "step-200", png, "samples after 200 steps"),
    writePicture(folder, "step-1000", png),
  ]);
}

async function reportOf(folder: string): Promise<string> {
  await writeReport(folder);
  return await Deno.readTextFile(`${folder}/report.html`);
}

Deno.test("a report shows results, curves, pictures, texts and settings of a run, well-formed", () =>
  inFolder(async (folder) => {
    await complete(folder);
    const { tags, texts } = parsed(await reportOf(folder));
    const shown = texts.map((text) => text.trim());
    const expected = [
      ...["lora", "vit-micro", "0.90991", "4,608 (0.57 %)", "970 (0.12 %)", "807,946"],
      ...["1,200", "1 h 2 min 3 s", "149 ms", "304 MB", "onelora", "9.8.7", "0.008"],
      ...["Loss", "Learning rate", "accuracy, evaluated", "Error distribution", "Calibration"],
      ...["samples after 200 steps", "step-1000", "Answers side by side", "1 + 1?", "Or <2>?", "lora: wrong"],
    ];
    for (const text of expected) assert(shown.includes(text), text);
    assert(shown.includes("vit-micro with lora on mnist"));
    assertEquals(tags.filter(({ name }) => name === "svg").length, 4);
    const images = tags.filter(({ name }) => name === "img").map(({ attributes }) => attributes);
    assertEquals(images.map(({ alt }) => alt), ["samples after 200 steps", "step-1000"]);
    for (const { src } of images) assertEquals(Uint8Array.fromBase64(src.replace("data:image/png;base64,", "")), png);
    // The evaluations' losses lie in the chart of the training loss.
    assertEquals(shown.filter((text) => text === "training" || text === "evaluation"), ["training", "evaluation"]);
  }));

Deno.test("a report refers to nothing and runs nothing", () =>
  inFolder(async (folder) => {
    await complete(folder);
    await Deno.writeTextFile(
      `${folder}/notes.md`,
      "# Notes\n![a](http://x.example/a.png) [b](http://x.example) http://x.example\n\n<script>alert(1)</script>\n\n" +
        "<img src=x onerror=alert(1)> &nbsp; **bold**\n\n- [x] done\n\n---\n\n```js\n</pre><script>\n```\n\n| a |\n|:-:|\n| b<br>c |\n",
    );
    await Deno.writeTextFile(`${folder}/plain.txt`, "</pre><script>alert(1)</script>\u0000");
    const html = await reportOf(folder);
    const { tags, texts } = parsed(html);
    const names = new Set(tags.map(({ name }) => name));
    for (const name of ["script", "a", "link", "iframe", "object", "use", "image"]) assert(!names.has(name), name);
    assert(names.has("strong") && names.has("h3") && names.has("hr") && names.has("pre"));
    for (const { attributes } of tags) {
      for (const [name, value] of Object.entries(attributes)) {
        assert(!name.startsWith("on") && name !== "style" && name !== "href", name);
        if (name === "src") assert(value.startsWith("data:image/png;base64,"), value);
      }
    }
    const styles = html.match(/<style>.*?<\/style>/gs)!.join("");
    assert(!/url\(|@import/.test(styles));
    assertStringIncludes(html, "default-src 'none'".replaceAll("'", "&#39;"));
    const text = texts.join("");
    for (const hostile of ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>"]) {
      assertStringIncludes(text, hostile);
    }
  }));

Deno.test("hostile names and values are shown as they are", { ignore: isWindows }, () =>
  inFolder(async (folder) => {
    const hostile = `"><script>alert('&amp;')</script>\u0000\ud800\u001b[31m`;
    const legible = `"><script>alert('&amp;')</script>\ufffd\ufffd\ufffd[31m`;
    const settings = { ...config, adapter: hostile, [hostile]: { [hostile]: [hostile, null, 1e400] } };
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(settings));
    await Deno.writeTextFile(
      `${folder}/summary.json`,
      JSON.stringify({ metrics: { [hostile]: hostile }, parameters: 7, steps: hostile, best: null }),
    );
    const records = [
      { step: 1, [hostile]: 1, loss: null, evaluation: { [hostile]: 1 } },
      { step: 2, [hostile]: 3, loss: "2", evaluation: { [hostile]: hostile, other: 1e308 } },
      { step: 3, [hostile]: -1e308, loss: 1e308, evaluation: { [hostile]: 2, other: -1e308 } },
    ];
    const lines = [...records.map((record) => JSON.stringify(record)), "[]", "null", "7", `{"step":"4"}`, ""];
    await Deno.writeTextFile(`${folder}/metrics.jsonl`, lines.join("\n"));
    await Deno.writeTextFile(
      `${folder}/evaluation.json`,
      `{"reliability":[{}],"errors":7,"count":1,"accuracy":1,"ece":0}`,
    );
    await Deno.mkdir(`${folder}/pictures`);
    await Deno.writeTextFile(`${folder}/pictures/none.png`, "no picture");
    await Deno.writeFile(`${folder}/pictures/'"><b>.png`, png);
    const { tags, texts } = parsed(await reportOf(folder));
    const known = new Set(
      "html head meta title style body h1 h2 p div section table tbody tr th td svg g text line polyline circle figure img figcaption"
        .split(" "),
    );
    assertEquals(tags.filter(({ name }) => !known.has(name)).map(({ name }) => name), []);
    for (const shown of [`vit-micro with ${legible} on mnist`, `${legible}.${legible}`, `${legible}, evaluated`]) {
      assert(texts.some((text) => text.trim() === shown), shown);
    }
    assertEquals(tags.filter(({ name }) => name === "img").map(({ attributes }) => attributes.alt), [`'"><b>`]);
    const numbers = tags.filter(({ name }) => name === "polyline").flatMap(({ attributes }) =>
      attributes.points.split(/[ ,]/)
    );
    assert(numbers.length > 0 && numbers.every((text) => Number.isFinite(Number(text))), numbers.join(" "));
  }));

Deno.test("the same folder gives the same bytes, and a report is no part of the next one", () =>
  inFolder(async (folder) => {
    await complete(folder);
    const first = await reportOf(folder);
    assertEquals(await reportOf(folder), first);
    assertEquals(Array.from(Deno.readDirSync(folder)).filter(({ name }) => name.endsWith(".tmp")), []);
  }));

Deno.test("a run that has just begun has a report, and long logs do not make long ones", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
    const begun = await reportOf(folder);
    assertStringIncludes(begun, "this run has not ended");
    assert(!begun.includes("<svg"));
    await Deno.writeTextFile(`${folder}/metrics.jsonl`, `{"step":1,"loss":2,"lr":0}\n`);
    assertEquals(parsed(await reportOf(folder)).tags.filter(({ name }) => name === "circle").length, 2);
    await Deno.writeTextFile(`${folder}/metrics.jsonl`, log(20_000, 1000));
    const long = await reportOf(folder);
    assert(long.length < 60_000, `${long.length}`);
    assertStringIncludes(long, "means of 67, and their range");
  }));

Deno.test("what is no run's folder is refused in one line", () =>
  inFolder(async (folder) => {
    const refusal = async () => (await assertRejects(() => writeReport(folder), OneloraError)).message;
    assertMatch(await refusal(), /found no config\.json; allowed: a run's folder$/);
    for (const content of ["{", "[]", "7"]) {
      await Deno.writeTextFile(`${folder}/config.json`, content);
      assertMatch(await refusal(), /^reading .*config\.json: found .*; allowed: an object in JSON$/);
    }
    await assertRejects(() => writeReport(`${folder}/none`), OneloraError);
    for (const name of ["../out", "a/b", ".hidden", ""]) {
      await assertRejects(() => writePicture(folder, name, png), OneloraError, "letters, digits");
    }
  }));

Deno.test("error distribution and calibration of several methods are one chart", () => {
  const chart = calibrationChart([
    { name: "1lora", metrics: metricsOf(1) },
    { name: "<all>", metrics: metricsOf(5) },
  ]);
  const { tags, texts } = parsed(svgFile(chart));
  const lines = tags.filter(({ name }) => name === "polyline");
  assertEquals(lines.map(({ attributes }) => attributes.class), ["series s0", "series s1", "series s0", "series s1"]);
  // Stairs of 20 bins; every share is a height between the axis and the top.
  const stairs = lines[0].attributes.points.split(" ").map((point) => point.split(",").map(Number));
  assertEquals(stairs.length, 40);
  const shares = metricsOf(1).errors.map(({ count }) => count / 60);
  const [top, bottom] = [32, 216];
  shares.forEach((share, i) => {
    const height = share === 0 ? bottom : top + (bottom - top) * Math.log10(share) / -2;
    assert(Math.abs(stairs[2 * i][1] - height) < 0.06, `bin ${i}: ${stairs[2 * i][1]} for ${height}`);
  });
  const { accuracy, ece } = metricsOf(1);
  const legend = texts.find((text) => text.startsWith("1lora: "))!;
  assertEquals(
    legend,
    `1lora: accuracy ${Number((100 * accuracy).toPrecision(3))} %, ECE ${Number((100 * ece).toPrecision(3))} %`,
  );
  assert(texts.some((text) => text.startsWith("<all>: ")));
  assertEquals(svgFile(chart), svgFile(chart));
});

Deno.test("the report command makes reports of several runs and their chart", () =>
  inFolder(async (folder) => {
    const runs = [`${folder}/a`, `${folder}/b`];
    for (const run of runs) {
      await Deno.mkdir(run);
      await complete(run);
    }
    const chart = `${folder}/chart.svg`;
    const printed = await output("report", "--run", `${runs[0]},${runs[1]}/`, "--calibration", chart);
    assertEquals(printed, `${runs[0]}/report.html\n${runs[1]}/report.html\n${chart}\n`);
    const { texts } = parsed(await Deno.readTextFile(chart));
    assertEquals(texts.filter((text) => text.startsWith("lora r=1: accuracy")).length, 2);
    await Deno.remove(`${runs[1]}/evaluation.json`);
    const [code, line] = await failure("report", "--run", runs.join(","), "--calibration", chart);
    assertEquals(code, 1);
    assertStringIncludes(line, `allowed: what deno task evaluate --run ${runs[1]} --json prints`);
    assertEquals((await failure("report"))[0], 2);
  }));

Deno.test("evaluate draws what it measured of a classifier", () =>
  inFolder(async (folder) => {
    const data = await smallCifar(`${folder}/cifar`);
    const run = `${folder}/run`;
    const common = ["--model", "tests/fixtures/vit-rgb", "--data", data, "--backend", "wasm", "--batch-size", "8"];
    await output("train", ...common, "--steps", "1", "--lr", "0.001", "--out", run);
    const chart = `${folder}/chart.svg`;
    const json = await output("evaluate", "--run", run, "--json", "--chart", chart);
    await Deno.writeTextFile(`${run}/evaluation.json`, json);
    const { tags } = parsed(await Deno.readTextFile(chart));
    assertEquals(tags.filter(({ name }) => name === "polyline").length, 2);
    await output("report", "--run", run);
    const { texts } = parsed(await Deno.readTextFile(`${run}/report.html`));
    assert(texts.includes("Calibration"));
    const [code, line] = await failure(
      "evaluate",
      "--model",
      "dpt-micro",
      "--task",
      "depth",
      "--data",
      "x",
      "--chart",
      chart,
    );
    assertEquals([code, line], [2, "drawing --chart: found the task depth; allowed: image-classification"]);
  }));
