/// <reference no-default-lib="true" />
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/// <reference lib="esnext" />
/**
 * The page: buttons, examples, and what the thread beside it, which computes, is asked for.
 *
 * @module
 */
import { drawCurve, losses, showBars } from "./curves.ts";
import { find } from "./find.ts";
import { clear, picture, SIDE, whenDrawn } from "./pad.ts";
import type { Digit, Logits, Questions, Reply, Trained } from "../messages.ts";

/** Digits of MNIST that training begins with if it is asked to. */
const START = 300;

/** `?backend=webgpu` asks for an engine, `?steps=10` for a number of steps. */
const asking = new URLSearchParams(location.search);

const say = (text: string) => find("#status").textContent = text;

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>();
let asked = 0;

function ask<Name extends keyof Questions>(
  name: Name,
  question: Questions[Name]["asked"],
): Promise<Questions[Name]["answer"]> {
  const id = ++asked;
  worker.postMessage({ id, name, asked: question });
  return new Promise((resolve, reject) => waiting.set(id, { resolve: resolve as (answer: unknown) => void, reject }));
}

worker.onmessage = ({ data }: MessageEvent<Reply>) => {
  if ("step" in data) return drawCurve(data.step, data.loss);
  const { resolve, reject } = waiting.get(data.id)!;
  waiting.delete(data.id);
  if ("problem" in data) reject(new Error(data.problem));
  else resolve(data.answer);
};
worker.onerror = ({ message }) => say(`The model's thread failed: ${message}`);

// Examples.

let digits: readonly Digit[] = [];

for (let digit = 0; digit < 10; digit++) {
  const label = document.createElement("label");
  label.innerHTML = `<input type="radio" name="label" value="${digit}"><span>${digit}</span>`;
  find("#labels").append(label);
}

function thumbnail(pixels: Uint8Array): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  const image = new ImageData(SIDE, SIDE);
  pixels.forEach((value, i) => image.data.set([value, value, value, 255], 4 * i));
  canvas.getContext("2d")!.putImageData(image, 0, 0);
  return canvas;
}

function showExamples(): void {
  find("#examples").replaceChildren(...digits.map((digit) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = button.ariaLabel = `Remove this ${digit.label}`;
    button.append(thumbnail(digit.pixels), digit.label);
    button.onclick = () => {
      digits = digits.filter((each) => each !== digit);
      showExamples();
    };
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
}

find<HTMLButtonElement>("#add").onclick = () => {
  const pixels = picture();
  if (pixels === undefined) return say("Draw a digit first.");
  const label = document.querySelector<HTMLInputElement>("#labels input:checked")?.value;
  if (label === undefined) return say("Choose which digit it is first.");
  digits = [...digits, { pixels, label }];
  showExamples();
  say(`You have added ${digits.length} ${digits.length === 1 ? "example" : "examples"}.`);
};
find<HTMLButtonElement>("#clear").onclick = clear;

// Predicting.

/** The last picture and what the models made of it, and the steps' losses, for the browser's console. */
const seen: { pixels?: readonly number[]; before?: Logits; after?: Logits } = {};
Object.assign(globalThis, { seen, losses });

async function predict(): Promise<void> {
  const pixels = picture();
  if (pixels === undefined) return;
  const { before, after } = await ask("predict", { pixels });
  Object.assign(seen, { pixels: [...pixels], before, after });
  showBars("before", before);
  showBars("after", after);
}

whenDrawn(() => void predict());

// Training, saving, loading.

function facts({ parameters, bytes, accuracy, seconds }: Trained): void {
  const { adapter, head, total } = parameters;
  const rows: readonly (readonly [string, string | undefined])[] = [
    ["parameters trained by 1LoRA", `${adapter.toLocaleString("en-US")} of ${total.toLocaleString("en-US")}`],
    ["parameters trained in the head", head.toLocaleString("en-US")],
    ["size of the adapter", `${(bytes / 1000).toFixed(1)} kB`],
    ["correct of 100 unseen digits", accuracy === undefined ? undefined : `${(100 * accuracy).toFixed(0)} %`],
    ["training time", seconds === undefined ? undefined : `${seconds.toFixed(1)} s`],
  ];
  find("#facts").replaceChildren(...rows.flatMap(([name, value]) => {
    if (value === undefined) return [];
    const [term, detail] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, detail.textContent] = [name, value];
    return [term, detail];
  }));
}

const [trainButton, saveButton] = [find<HTMLButtonElement>("#train"), find<HTMLButtonElement>("#save")];

let hasAdapter = false;
/** Whether an adapter is being trained, or was and is in no file. */
let isUnsaved = false;

// Closing or reloading the page would lose it: the browser asks.
addEventListener("beforeunload", (event) => {
  if (isUnsaved) event.preventDefault();
});

/** What came of training or of files, said. */
function take(trained: Trained): void {
  hasAdapter = true;
  facts(trained);
}

/** Work during which nothing else is begun; what goes wrong is said. */
async function busy(work: () => Promise<void>): Promise<void> {
  trainButton.disabled = saveButton.disabled = true;
  try {
    await work();
  } catch (error) {
    say((error as Error).message);
    isUnsaved &&= hasAdapter;
  }
  trainButton.disabled = false;
  saveButton.disabled = !hasAdapter;
}

trainButton.onclick = () =>
  busy(async () => {
    const start = find<HTMLInputElement>("#start").checked ? START : 0;
    if (start === 0 && new Set(digits.map(({ label }) => label)).size < 2) {
      throw new Error("Add examples of two different digits first, or start with MNIST's digits.");
    }
    losses.length = 0;
    say("Training ...");
    isUnsaved = true;
    take(await ask("train", { digits, start, steps: Number(asking.get("steps")) || undefined }));
    say("Trained. Draw another digit, or download the adapter.");
    await predict();
  });

function download(name: string, bytes: Uint8Array<ArrayBuffer>): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

saveButton.onclick = () =>
  busy(async () => {
    const { config, tensors } = await ask("save", {});
    download("adapter_config.json", config);
    download("adapter_model.safetensors", tensors);
    isUnsaved = false;
    say("An adapter in Hugging Face PEFT's format: two files, to be kept in a folder of their own.");
  });

find<HTMLInputElement>("#given").onchange = ({ target }) =>
  busy(async () => {
    const files = [...(target as HTMLInputElement).files!];
    const bytesOf = async (ending: string) => {
      const file = files.find(({ name }) => name.endsWith(ending));
      if (file === undefined) throw new Error(`Choose both files together: there is no ${ending} file among these.`);
      return new Uint8Array(await file.arrayBuffer());
    };
    take(await ask("load", { config: await bytesOf(".json"), tensors: await bytesOf(".safetensors") }));
    say("This adapter is now in use.");
    await predict();
  });

await busy(async () => {
  const { engine } = await ask("open", { backend: asking.get("backend") ?? undefined });
  const isolated = globalThis.crossOriginIsolated ? "" : ", because the page is not cross-origin isolated";
  say(`Ready after ${(performance.now() / 1000).toFixed(1)} s: ${engine}${isolated}.`);
});
