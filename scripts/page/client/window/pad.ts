/// <reference no-default-lib="true" />
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/// <reference lib="esnext" />
/**
 * What is drawn on, by pointer or by keys, and the drawing as a picture.
 *
 * @module
 */
import { find } from "./find.ts";

/** Pixels of a picture's side. */
export const SIDE = 28;

const pad = find<HTMLCanvasElement>("#pad");
const pen = pad.getContext("2d", { willReadFrequently: true })!;
pen.lineWidth = 22;
pen.lineCap = pen.lineJoin = "round";
pen.strokeStyle = "#fff";
let at: readonly [number, number] | undefined;

/** Draws on from where the pen is. */
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
pad.addEventListener("pointerup", () => at = undefined);

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

/** Calls a function when a line has been drawn. */
export function whenDrawn(act: () => void): void {
  pad.addEventListener("pointerup", act);
  pad.addEventListener("keyup", (event) => event.key === "Shift" && act());
}

/** The drawing as MNIST has its digits: 20 pixels large, its centre of mass in the middle. */
export function picture(): Uint8Array | undefined {
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

/** Takes the drawing away. */
export function clear(): void {
  pen.clearRect(0, 0, pad.width, pad.height);
  at = undefined;
  key = [140, 60];
}
