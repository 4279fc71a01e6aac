/**
 * How methods look in figures: one colour and one mark for each, the same in all of them.
 *
 * @module
 */

/** A method's colour and mark. */
export interface Look {
  /** CSS colour. */
  readonly colour: string;
  /** One of Vega's marks. */
  readonly shape: string;
}

/** Methods of the paper's tables. */
const LOOKS: Readonly<Record<string, Look>> = {
  none: { colour: "#8a8f98", shape: "cross" },
  head: { colour: "#5b6470", shape: "cross" },
  all: { colour: "#1f2328", shape: "square" },
  full: { colour: "#1f2328", shape: "square" },
  mora1: { colour: "#7a5195", shape: "triangle-up" },
  mora6: { colour: "#b07aa1", shape: "triangle-down" },
  bitfit: { colour: "#e8a400", shape: "diamond" },
  difffit: { colour: "#9c6b1e", shape: "diamond" },
  lora: { colour: "#1f77b4", shape: "circle" },
  "lora@qkv": { colour: "#76b7e5", shape: "circle" },
  dora: { colour: "#17a2b0", shape: "circle" },
  vera: { colour: "#2ca02c", shape: "triangle-right" },
  norms: { colour: "#6b8e23", shape: "square" },
  scale: { colour: "#bcbd22", shape: "square" },
  "1lora": { colour: "#d62728", shape: "circle" },
  "1lora-random": { colour: "#ff9896", shape: "circle" },
  "1lora+norms": { colour: "#e4572e", shape: "square" },
  "1lora+bias": { colour: "#c2185b", shape: "triangle-up" },
  "1lora+scale": { colour: "#f06292", shape: "triangle-down" },
  "1lora+bias+norms": { colour: "#8e2440", shape: "diamond" },
  "1lora+bias+scale": { colour: "#ff7f0e", shape: "diamond" },
  "1lora+scale+norms": { colour: "#a0522d", shape: "triangle-left" },
  "1lora+bias+scale+norms": { colour: "#5d1a1a", shape: "cross" },
};

/** For other methods, by their names alone. */
const OTHERS: readonly string[] = [
  "#3f51b5",
  "#00695c",
  "#6a1b9a",
  "#827717",
  "#4e342e",
  "#37474f",
  "#ad1457",
  "#0277bd",
];
const SHAPES: readonly string[] = ["circle", "square", "diamond", "triangle-up", "triangle-down"];

/**
 * A method's colour and mark.
 *
 * @param method The method as written: `lora@qkv`
 */
export function lookOf(method: string): Look {
  const known = LOOKS[method];
  if (known !== undefined) return known;
  let sum = 0;
  for (const character of method) sum = (31 * sum + character.codePointAt(0)!) >>> 0;
  return { colour: OTHERS[sum % OTHERS.length], shape: SHAPES[Math.floor(sum / OTHERS.length) % SHAPES.length] };
}
