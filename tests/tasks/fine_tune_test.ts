/**
 * The front door, as a new user meets it: own examples in memory to a trained, saved, reloaded, predicting model.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { OneloraError, useBackend } from "../../dsl/mod.ts";
import { fineTune, load, taskKind } from "../../tasks/mod.ts";
import { linesOf, output, smallCifar } from "../support/command.ts";
import { withoutLeaks } from "../support/compare.ts";
import { denoCommand } from "../../scripts/cli/deno.ts";

const folder = await Deno.makeTempDir();
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
await useBackend("wasm");

/** Colours with a little noise, one for each class. */
function picture(label: "red" | "blue", i: number) {
  const [r, b] = label === "red" ? [200, 20] : [20, 200];
  const data = Uint8ClampedArray.from(
    { length: 16 * 16 * 4 },
    (_, at) => [r, 30, b, 255][at % 4] + (at * 7 + i * 13) % 23,
  );
  return { image: { data, width: 16, height: 16 }, label };
}
const colours = Array.from({ length: 24 }, (_, i) => picture(i % 2 === 0 ? "red" : "blue", i));
const rgb = "tests/fixtures/vit-rgb";

/** The programs of the guide, as they are: at most 15 lines each, run below as they are written here. */
const classifier = `
import { fineTune, load } from "@onelora/onelora/tasks";

export async function program(images: { image: ImageData; label: string }[], folder: string) {
  using model = await fineTune({ model: "vit-micro", data: images, adapter: "1lora", steps: 30 });
  console.log(model.metrics.accuracy);
  await model.save(folder);

  using again = await load(folder);
  const [{ label, probability }] = await again.predict(images[0].image);
  return { label, probability };
}
`;
const answerer = `
import { fineTune, load } from "@onelora/onelora/tasks";

export async function program(pairs: { prompt: string; response: string }[], folder: string) {
  using model = await fineTune({ model: "llama-micro", data: pairs, adapter: "1lora", steps: 20 });
  await model.save(folder);

  using again = await load(folder, { task: "reasoning" });
  return [await model.predict(pairs[0].prompt), await again.predict(pairs[0].prompt)];
}
`;

/** Programs by name, whose types are checked as a user's are, then run with this process's engine. */
async function programs(
  texts: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, (data: unknown, folder: string) => Promise<unknown>>>> {
  await Deno.mkdir("runs/tests", { recursive: true });
  const own = await Deno.makeTempDir({ dir: "runs/tests" });
  try {
    const paths = Object.keys(texts).map((name) => `${own}/${name}.ts`);
    for (const [name, text] of Object.entries(texts)) {
      assert(text.trim().split("\n").length <= 15, name);
      await Deno.writeTextFile(`${own}/${name}.ts`, text.trimStart());
    }
    const { code, stderr } = await new Deno.Command(await denoCommand(), {
      args: ["check", ...paths],
      stdout: "null",
      stderr: "piped",
    })
      .output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    const made = paths.map((path) => import(new URL(`../../${path}`, import.meta.url).href));
    const loaded = await Promise.all(made);
    return Object.fromEntries(Object.keys(texts).map((name, i) => [name, loaded[i].program]));
  } finally {
    await Deno.remove(own, { recursive: true });
  }
}

let checked: ReturnType<typeof programs> | undefined;

/** One of the programs. */
async function program<Result>(
  name: "classifier" | "answerer",
): Promise<(data: unknown, folder: string) => Promise<Result>> {
  const all = await (checked ??= programs({ classifier, answerer }));
  return all[name] as (data: unknown, folder: string) => Promise<Result>;
}

Deno.test("a program of at most 15 lines trains, saves, reloads and asks a classifier of own images", async () => {
  const run = await program<{ label: string; probability: number }>("classifier");
  const grey = (value: number, label: string) => ({
    image: { data: new Uint8ClampedArray(28 * 28 * 4).fill(value), width: 28, height: 28, colorSpace: "srgb" },
    label,
  });
  const images = Array.from({ length: 30 }, (_, i) => i % 2 === 0 ? grey(20 + i, "dark") : grey(200 + i, "light"));
  await withoutLeaks(async () => {
    const { label, probability } = await run(images, `${folder}/classifier`);
    assertEquals(label, "dark");
    assert(probability > 0.6, `${probability}`);
  });
  assertEquals([...Deno.readDirSync(`${folder}/classifier`)].map(({ name }) => name).sort(), [
    "adapter_config.json",
    "adapter_model.safetensors",
    "onelora.json",
  ]);
});

Deno.test("and one that answers prompts, with what it was taught", async () => {
  const run = await program<readonly string[]>("answerer");
  const pairs = Array.from(
    { length: 12 },
    (_, i) => ({ prompt: `What is ${i} plus 1?`, response: `The answer is: ${i + 1}` }),
  );
  await withoutLeaks(async () => {
    const [before, after] = await run(pairs, `${folder}/answerer`);
    assertEquals(after, before);
    assert(before.length > 0);
  });
});

Deno.test("what is saved, merged and loaded again predicts the same", async () => {
  await withoutLeaks(async () => {
    using model = await fineTune({ model: rgb, data: colours, steps: 12, lr: 0.02, batchSize: 8, evalEvery: 4 });
    assertEquals([model.task, model.steps, model.out], ["image-classification", 12, undefined]);
    const expected = await model.predict(colours[0].image);
    assertEquals(expected[0].label, "red");
    await model.save(`${folder}/saved`);
    using again = await load(`${folder}/saved`);
    assertEquals(await again.predict(colours[0].image), expected);
    using merged = await model.merge();
    const close = (found: typeof expected) =>
      found.forEach(({ label, probability }, i) => {
        assertEquals(label, expected[i].label);
        assert(Math.abs(probability - expected[i].probability) < 1e-5);
      });
    close(await merged.predict(colours[0].image));
    await merged.save(`${folder}/merged`);
    // What was loaded is saved again as it was.
    await again.save(`${folder}/again`);
    const bytes = (name: string) => Deno.readFile(`${folder}/${name}/adapter_model.safetensors`);
    assertEquals(await bytes("again"), await bytes("saved"));
  });
});

Deno.test("callbacks are told, an abort is heard, and without a folder nothing is written", async () => {
  await withoutLeaks(async () => {
    const before = [...Deno.readDirSync(folder)].length;
    const seen: string[] = [];
    const controller = new AbortController();
    const running = fineTune({
      model: rgb,
      data: (async function* () {
        yield* colours;
      })(),
      steps: 10,
      evalEvery: 2,
      signal: controller.signal,
      onStep: ({ step, loss }) => {
        assert(loss > 0);
        seen.push(`step ${step}`);
        if (step === 3) controller.abort();
      },
      onEvaluation: ({ step, metrics }) => void seen.push(`evaluation ${step} of ${metrics.count}`),
      onLine: (line) => void seen.push(line),
    });
    await assertRejects(() => running, OneloraError, "an interrupt after step 3; allowed: starting again");
    assertEquals(seen.filter((line) => !line.startsWith("backend")), [
      "note: 2 of 24 examples are held out to be judged by; `test` gives others",
      "step 1",
      "step 2",
      "evaluation 2 of 2",
      "step 3",
    ]);
    assertEquals([...Deno.readDirSync(folder)].length, before);
  });
});

Deno.test("a run that is interrupted when only its pictures are missing is not over, and makes them when it goes on", async () => {
  const micro = { steps: 1, limit: 4, batchSize: 2, backend: "wasm" } as const;
  for (const [task, own] of [["depth", {}], ["generation", { samplingSteps: 2 }]] as const) {
    const out = `${folder}/pictures-of-${task}`;
    const controller = new AbortController();
    const running = () =>
      fineTune({
        ...{ ...micro, ...own, task, samples: 4, out, signal: controller.signal },
        // The only one, at the end.
        onEvaluation: () => controller.abort(),
      });
    await assertRejects(running, OneloraError, "an interrupt after the last step; allowed: continuing with");
    using _resumed = await fineTune({ resume: out });
    const pictures = Array.from(Deno.readDirSync(`${out}/pictures`), ({ name }) => name);
    assert(pictures.some((name) => name.endsWith(".png")), task);
  }
});

Deno.test("a run in a folder tells of its checkpoints, and goes on where it was left", async () => {
  await withoutLeaks(async () => {
    const out = `${folder}/run`;
    const settings = {
      model: rgb,
      data: colours,
      test: colours.slice(0, 4),
      lr: 0.01,
      batchSize: 8,
      backend: "wasm",
      adapter: "lora",
      // A run that goes on drops out what it would have.
      dropout: 0.3,
    } as const;
    const checkpoints: number[] = [];
    using whole = await fineTune({ ...settings, steps: 6 });
    const controller = new AbortController();
    const stopped = fineTune({
      ...settings,
      steps: 6,
      out,
      checkpointEvery: 2,
      signal: controller.signal,
      onStep: ({ step }) => step === 4 ? controller.abort() : undefined,
      onCheckpoint: ({ step }) => void checkpoints.push(step),
    });
    await assertRejects(() => stopped, OneloraError, "`resume: ");
    assertEquals(checkpoints, [2, 4]);
    using resumed = await fineTune({ resume: out, data: colours, test: colours.slice(0, 4) });
    assertEquals(resumed.metrics, whole.metrics);
    assertEquals((await linesOf(`${out}/metrics.jsonl`)).length, 6);
    assertEquals(await resumed.predict(colours[1].image), await whole.predict(colours[1].image));
    using again = await load(out);
    assertEquals(await again.predict(colours[1].image), await whole.predict(colours[1].image));
    await assertRejects(() => fineTune({ resume: out, data: colours, lr: 1 }), OneloraError, "found `lr`");
    await assertRejects(
      () => fineTune({ resume: out }),
      OneloraError,
      "found no `data`; allowed: the run's own examples",
    );
    const others = colours.map((each, i) => i === 5 ? picture("blue", 99) : each);
    const other = () => fineTune({ resume: out, data: others, test: colours.slice(0, 4), steps: 8 });
    await assertRejects(other, OneloraError, "another run's: examplesSha256");
  });
});

Deno.test("the command line is this call: the same settings give the same bytes", async () => {
  const data = await smallCifar(`${folder}/cifar`);
  const [cli, code] = [`${folder}/cli`, `${folder}/code`];
  await output("train", ...["--model", rgb, "--data", data, "--steps", "5", "--backend", "wasm", "--out", cli]);
  (await fineTune({ model: rgb, data, steps: 5, backend: "wasm", out: code }))[Symbol.dispose]();
  for (const name of ["config.json", "adapter/adapter_model.safetensors", "adapter/adapter_config.json"]) {
    assertEquals(await Deno.readFile(`${cli}/${name}`), await Deno.readFile(`${code}/${name}`), name);
  }
});

Deno.test("depth and generation of own examples predict maps and pictures", async () => {
  await withoutLeaks(async () => {
    const data = Array.from({ length: 4 }, (_, i) => ({
      image: picture("red", i).image,
      depth: { data: new Float32Array(256).fill(2 + i), width: 16, height: 16 },
    }));
    using depth = await fineTune({ model: "dpt-micro", data, steps: 2, batchSize: 2 });
    const { data: map, width, height } = await depth.predict(data[0].image);
    assertEquals([map.length, width, height, depth.task], [256, 16, 16, "depth"]);

    const grey = Array.from({ length: 12 }, (_, i) => ({
      image: { data: new Uint8Array(784).fill(20 * i), width: 28, height: 28 },
      label: i % 2,
    }));
    const few = { steps: 2, batchSize: 4, samples: 4, samplingSteps: 2 };
    using generator = await fineTune({ task: "generation", model: "dit-micro", data: grey, test: grey, ...few });
    const sample = await generator.predict(1);
    assertEquals([sample.width, sample.height, sample.channels, sample.pixels.length], [28, 28, 1, 784]);
    await assertRejects(() => generator.predict(2), OneloraError, "class");
  });
});

Deno.test("what cannot be used is refused by the name that it has in the options", async () => {
  const refused = async (options: object, part: string) => {
    const error = await assertRejects(
      () => fineTune({ model: rgb, data: colours, steps: 1, ...options }),
      OneloraError,
    );
    assertStringIncludes(error.message, part);
  };
  await refused({ lr: -1 }, "setting lr: found -1; allowed: a number above 0");
  await refused({ batchsize: 3 }, 'found "batchsize" (did you mean "batchSize"?)');
  await refused({ epochs: 1 }, "both `epochs` and `steps`");
  await refused({ flip: true }, "choosing a setting of image-classification");
  await refused({ keep: "best", evalEvery: 1 }, "`out`");
  await refused({ data: [] }, "reading `data`: found no example");
  await refused({ data: [...colours, { image: colours[0].image }] }, "reading example 24 of `data`: found { image }");
  await refused({ data: "mnist", test: colours }, "reading `test`");
  await refused({ test: [{ image: colours[0].image, label: "green" }] }, 'the class "green"');
  await refused({ data: colours.map((each) => ({ ...each, image: { ...each.image, width: 15 } })) }, "15x16 pixels");
  assertEquals(taskKind("depth").takes(colours[0]), false);
});
