/**
 * The thread of the page that computes: the package itself, as any program uses it.
 *
 * @module
 */
import { apply, key, memoryFiles, useBackend } from "../../../dsl/mod.ts";
import { parameterCounts } from "../../../adapters/mod.ts";
import { openRanged } from "../../../dsl/files/file.ts";
import { openModel } from "../../../models/mod.ts";
import { evaluationTransform, fineTune, load, openTrained, type TrainedModel } from "../../../tasks/mod.ts";
import { tensor, tidy } from "@tensorflow/tfjs-core";
import type { AdapterFiles, Digit, Logits, Questions, Reply, Request, Trained } from "./messages.ts";

const SIDE = 28;
const AREA = SIDE * SIDE;
const MODEL = "vit-micro";
const DIGITS = Array.from({ length: 10 }, (_, i) => `${i}`);
const STEPS = 60;
/** Digits that are kept to be judged by. */
const JUDGED = 100;

/** Where the page's files are: this code lies in a folder of them. */
const root = new URL("../", import.meta.url);

const send = (reply: Reply) => (globalThis as unknown as { postMessage(reply: Reply): void }).postMessage(reply);

let before: TrainedModel | undefined;
let after: (TrainedModel & Disposable & { save(folder: string): Promise<void> }) | undefined;

async function logitsOf({ model, layer, params }: TrainedModel, pixels: Uint8Array): Promise<Logits> {
  const { height, width, channels, mean, std } = model.image!;
  const { shape, apply: prepare } = evaluationTransform({ size: [height, width], channels, mean, std });
  const values = prepare({ pixels, height: SIDE, width: SIDE, channels: 1, label: 0 }, key(0));
  const logits = tidy(() => apply(layer, params)(tensor(values, [1, ...shape])));
  try {
    return { labels: model.labels!, values: [...await logits.data<"float32">()] };
  } finally {
    logits.dispose();
  }
}

/** Some of MNIST's digits, of which no more is fetched. */
async function someDigits(part: "train" | "test", count: number): Promise<readonly Digit[]> {
  const read = async (name: string, header: number, each: number) => {
    const file = await openRanged(new URL(`digits/${part}-${name}`, root).href);
    try {
      return await file.read(header, count * each);
    } finally {
      await file.close();
    }
  };
  const [images, labels] = await Promise.all([read("images.idx", 16, AREA), read("labels.idx", 8, 1)]);
  return Array.from(labels, (label, i) => ({ pixels: images.subarray(i * AREA, (i + 1) * AREA), label: `${label}` }));
}

const asExample = ({ pixels, label }: Digit) => ({ image: { data: pixels, width: SIDE, height: SIDE }, label });

async function filesOf(model: NonNullable<typeof after>): Promise<AdapterFiles> {
  await model.save("memory:adapter");
  return {
    config: memoryFiles.get("adapter/adapter_config.json")!,
    tensors: memoryFiles.get("adapter/adapter_model.safetensors")!,
  };
}

/** What there is to say of a model that has come into the place of the last one. */
async function taken(model: NonNullable<typeof after>): Promise<Trained> {
  after?.[Symbol.dispose]();
  after = model;
  const { config, tensors } = await filesOf(model);
  return {
    parameters: parameterCounts(model.layer, model.model.headPath),
    bytes: config.length + tensors.length,
  };
}

async function train({ digits, start, steps = STEPS }: Questions["train"]["asked"]): Promise<Trained> {
  const begun = performance.now();
  const some = start > 0 ? await someDigits("train", start) : [];
  // What the visitor draws counts for about a third of all.
  const times = Math.max(1, Math.min(12, Math.round(some.length / 2 / Math.max(1, digits.length))));
  const own = Array.from({ length: digits.length === 0 ? 0 : times }, () => digits).flat();
  const test = some.length > 0 ? await someDigits("test", JUDGED) : digits;
  const model = await fineTune({
    model: MODEL,
    adapter: "1lora",
    data: [...some, ...own].map(asExample),
    test: test.map(asExample),
    steps,
    batchSize: 32,
    lr: 2e-2,
    augment: false,
    onStep: ({ step, loss }) => send({ step, loss }),
  });
  const accuracy = some.length > 0 ? Number(model.metrics.accuracy) : undefined;
  return { ...await taken(model), accuracy, seconds: (performance.now() - begun) / 1000 };
}

const answers: { [Name in keyof Questions]: (asked: Questions[Name]["asked"]) => Promise<Questions[Name]["answer"]> } =
  {
    open: async ({ backend }) => {
      const { engine } = await useBackend((backend ?? "auto") as Parameters<typeof useBackend>[0]);
      // Its head for clothes is of no use here: a fresh one, as training begins with.
      before = await openTrained((await openModel(MODEL)).with({ labels: DIGITS }), { key: key(0) });
      return { engine: engine.device.text };
    },
    predict: async ({ pixels }) => ({
      before: await logitsOf(before!, pixels),
      ...(after !== undefined && { after: await logitsOf(after, pixels) }),
    }),
    train,
    save: () => filesOf(after!),
    load: async ({ config, tensors }) => {
      memoryFiles.set("given/adapter_config.json", config);
      memoryFiles.set("given/adapter_model.safetensors", tensors);
      return await taken(await load("memory:given"));
    },
  };

let last: Promise<unknown> = Promise.resolve();
globalThis.addEventListener("message", (event) => {
  const { id, name, asked } = (event as MessageEvent<Request>).data;
  // One after the other: the engine has one thread to be asked by.
  last = last.then(async () => {
    try {
      const answer = answers[name] as (asked: unknown) => Promise<Questions[keyof Questions]["answer"]>;
      send({ id, answer: await answer(asked) });
    } catch (error) {
      send({ id, problem: error instanceof Error ? error.message : String(error) });
    }
  });
});
