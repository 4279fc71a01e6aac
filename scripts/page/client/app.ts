/// <reference no-default-lib="true" />
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/// <reference lib="esnext" />
/**
 * The page: drawing, buttons, curve and bars. What computes is in a thread beside it.
 *
 * @module
 */
import type { Digit, Logits, Questions, Reply, Trained } from "./messages.ts";

const SIDE = 28;
/** Digits of MNIST that training begins with if it is asked to. */
const START = 300;

/** `?backend=webgpu` asks for an engine, `?steps=10` for a number of steps. */
const asking = new URLSearchParams(location.search);

const find = <Kind extends Element>(selector: string): Kind => document.querySelector<Kind>(selector)!;
const say = (text: string) => find("#status").textContent = text;

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>();
const losses: number[] = [];
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

// Drawing.

const pad = find<HTMLCanvasElement>("#pad");
const pen = pad.getContext("2d", { willReadFrequently: true })!;
pen.lineWidth = 22;
pen.lineCap = pen.lineJoin = "round";
pen.strokeStyle = "#fff";
let at: readonly [number, number] | undefined;

function stroke([x, y]: readonly [number, number]): void {
  const [fromX, fromY] = at ?? [x, y];
  pen.beginPath();
  pen.moveTo(fromX, fromY);
  pen.lineTo(x, y);
  pen.stroke();
  at = [x, y];
}

function placeOf({ clientX, clientY }: PointerEvent): readonly [number, number] {
  const { left, top, width, height } = pad.getBoundingClientRect();
  return [(clientX - left) / width * pad.width, (clientY - top) / height * pad.height];
}

pad.addEventListener("pointerdown", (event) => {
  pad.setPointerCapture(event.pointerId);
  at = undefined;
  stroke(placeOf(event));
});
pad.addEventListener("pointermove", (event) => event.buttons > 0 && at !== undefined && stroke(placeOf(event)));
pad.addEventListener("pointerup", () => {
  at = undefined;
  void predict();
});

/** Where the keyboard's pen is. */
let key: readonly [number, number] = [140, 60];
const MOVES: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
pad.addEventListener("keydown", (event) => {
  const move = MOVES[event.key];
  if (move === undefined) return;
  event.preventDefault();
  const limit = (value: number) => Math.max(20, Math.min(260, value));
  at = event.shiftKey ? key : undefined;
  key = [limit(key[0] + 10 * move[0]), limit(key[1] + 10 * move[1])];
  if (event.shiftKey) stroke(key);
  at = undefined;
});
pad.addEventListener("keyup", (event) => event.key === "Shift" && void predict());

/** The drawing as MNIST has its digits: 20 pixels large, its centre of mass in the middle. */
function picture(): Uint8Array | undefined {
  const { data, width, height } = pen.getImageData(0, 0, pad.width, pad.height);
  let [left, top, right, bottom, mass, sumX, sumY] = [width, height, -1, -1, 0, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const ink = data[4 * (y * width + x)];
      if (ink === 0) continue;
      [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
      [mass, sumX, sumY] = [mass + ink, sumX + ink * x, sumY + ink * y];
    }
  }
  if (mass === 0) return undefined;
  const scale = 20 / Math.max(right - left + 1, bottom - top + 1);
  const small = new OffscreenCanvas(SIDE, SIDE).getContext("2d")!;
  small.imageSmoothingQuality = "high";
  small.fillRect(0, 0, SIDE, SIDE);
  const [x, y] = [SIDE / 2 - scale * sumX / mass, SIDE / 2 - scale * sumY / mass];
  small.drawImage(pad, x, y, scale * width, scale * height);
  const bytes = small.getImageData(0, 0, SIDE, SIDE).data;
  return Uint8Array.from({ length: SIDE * SIDE }, (_, i) => bytes[4 * i]);
}

function clear(): void {
  pen.clearRect(0, 0, pad.width, pad.height);
  at = undefined;
  key = [140, 60];
}

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

// Curve and bars.

function drawCurve(step: number, loss: number): void {
  losses.push(loss);
  const most = Math.max(...losses);
  const points = losses.map((each, i) =>
    `${(8 + 284 * i / Math.max(59, losses.length - 1)).toFixed(1)} ${(132 - 120 * each / most).toFixed(1)}`
  );
  find("#line").setAttribute("d", `M${points.join("L")}`);
  find("#progress").textContent = `step ${step}: loss ${loss.toFixed(3)}`;
}

for (let digit = 0; digit < 10; digit++) {
  const cells = ["before", "after"].map((when) => `<td class="${when}"><div><span><i></i></span><b></b></div></td>`).join("");
  find("#bars tbody").insertAdjacentHTML("beforeend", `<tr><th scope="row">${digit}</th>${cells}</tr>`);
}

function probabilities({ labels, values }: Logits): ReadonlyMap<string, number> {
  const most = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((total, each) => total + each, 0);
  return new Map(labels.map((label, i) => [label, powers[i] / sum]));
}

function showBars(when: "before" | "after", logits: Logits | undefined): void {
  const found = logits && probabilities(logits);
  document.querySelectorAll(`#bars td.${when}`).forEach((cell, digit) => {
    const share = found?.get(`${digit}`);
    cell.querySelector("i")!.style.width = `${100 * (share ?? 0)}%`;
    cell.querySelector("b")!.textContent = share === undefined ? "" : `${(100 * share).toFixed(1)} %`;
  });
}

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
