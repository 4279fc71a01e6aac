/**
 * Written letters: 28x28 grey images of pen strokes in the manner of MNIST, drawn by this package, so that a model can learn
 * strokes without any digit and any download. Only +, -, *, / and square roots decide a pixel, so that the bytes are the
 * same on every machine.
 *
 * @module
 */

import { fold, type Key, key, uniform } from "../../dsl/random.ts";
import { checked, type ImageDataset, type ImageSplits } from "./dataset.ts";
import { letterShapes, type LetterStroke } from "./letter_shapes.ts";

type Point = readonly [x: number, y: number];

/** Side of a picture, and of the square at its middle that letters fill, as MNIST's digits do. */
const SIDE = 28;
const BOX = 20;
/** Columns and rows of the grid that strokes are given on. */
const GRID = 9;
/** How far a point of the grid moves at most, in columns. */
const SHAKE = 0.7;
/** Line segments between two points of a curve. */
const PIECES = 6;

const classes = [...letterShapes.keys()];
const shapes = [...letterShapes.values()];

/** Catmull-Rom spline through points; its ends, if it is not closed, are counted twice. */
function curve(points: readonly Point[], closed: boolean): Point[] {
  const { length } = points;
  const at = (i: number) => points[closed ? (i + length) % length : Math.max(0, Math.min(length - 1, i))];
  const out: Point[] = [];
  for (let i = 0; i < (closed ? length : length - 1); i++) {
    const [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
    for (let piece = 0; piece < PIECES; piece++) {
      const t = piece / PIECES;
      const through = (axis: 0 | 1) =>
        b[axis] + 0.5 * t * (c[axis] - a[axis] +
            t * (2 * a[axis] - 5 * b[axis] + 4 * c[axis] - d[axis] +
                t * (3 * (b[axis] - c[axis]) + d[axis] - a[axis])));
      out.push([through(0), through(1)]);
    }
  }
  return [...out, closed ? out[0] : points[length - 1]];
}

function line({ kind, points }: LetterStroke, moved: (point: Point) => Point): readonly Point[] {
  const places = points.map(moved);
  return kind === "lines" ? places : curve(places, kind === "loop");
}

/** Numbers from -1 to 1, most of them near 0. */
function spread(from: Key, count: number): Float64Array {
  const draws = uniform(from, 2 * count);
  return Float64Array.from({ length: count }, (_, i) => draws[2 * i] + draws[2 * i + 1] - 1);
}

/** As large as the square allows, with the strokes' centre of mass in the middle of the picture. */
function placed(lines: readonly (readonly Point[])[], width: number): readonly (readonly Point[])[] {
  const [left, top, right, bottom] = lines.flat().reduce(
    (box, [x, y]) => [Math.min(box[0], x), Math.min(box[1], y), Math.max(box[2], x), Math.max(box[3], y)],
    [Infinity, Infinity, -Infinity, -Infinity],
  );
  const scale = (BOX - width) / Math.max(right - left, bottom - top);
  let [mass, x, y] = [0, 0, 0];
  for (const points of lines) {
    for (let i = 1; i < points.length; i++) {
      const [[ax, ay], [bx, by]] = [points[i - 1], points[i]];
      const length = Math.sqrt((bx - ax) * (bx - ax) + (by - ay) * (by - ay));
      mass += length;
      x += length * (ax + bx) / 2;
      y += length * (ay + by) / 2;
    }
  }
  // Pixel i covers i to i + 1, its centre is i + 0.5.
  return lines.map((points) =>
    points.map(([px, py]) => [(px - x / mass) * scale + SIDE / 2, (py - y / mass) * scale + SIDE / 2] as const)
  );
}

/** Lays a segment of a pen of some width, whose edge is as soft as said, on a picture. */
function draw(into: Float64Array, [ax, ay]: Point, [bx, by]: Point, width: number, soft: number): void {
  const reach = (width + soft) / 2;
  const first = (a: number, b: number) => Math.max(0, Math.floor(Math.min(a, b) - reach - 0.5));
  const last = (a: number, b: number) => Math.min(SIDE - 1, Math.ceil(Math.max(a, b) + reach - 0.5));
  const [dx, dy] = [bx - ax, by - ay];
  const square = dx * dx + dy * dy;
  for (let row = first(ay, by); row <= last(ay, by); row++) {
    for (let column = first(ax, bx); column <= last(ax, bx); column++) {
      const [x, y] = [column + 0.5 - ax, row + 0.5 - ay];
      const along = square === 0 ? 0 : Math.max(0, Math.min(1, (x * dx + y * dy) / square));
      const [ox, oy] = [x - along * dx, y - along * dy];
      const ink = (width / 2 - Math.sqrt(ox * ox + oy * oy)) / soft + 0.5;
      const at = row * SIDE + column;
      if (ink > into[at]) into[at] = ink;
    }
  }
}

/**
 * A letter as somebody may have written it: its points shaken, slanted, turned, stretched, with a pen of some width.
 *
 * @param label Number of the letter
 * @param from Key of everything random
 */
function written(label: number, from: Key): Uint8Array {
  const shake = spread(fold(from, "points"), 2 * GRID * GRID);
  const [turn, slant, stretch] = spread(fold(from, "form"), 3);
  const [thickness, softness] = uniform(fold(from, "pen"), 2);
  const width = 1.6 + 2 * thickness;
  const soft = 1 + softness;
  // Of the angle whose half has the tangent turn / 5: up to 23 degrees.
  const half = turn / 5;
  const [cosine, sine] = [(1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)];
  const wide = stretch < 0 ? 1 / (1 - 0.5 * stretch) : 1 + 0.5 * stretch;
  const moved = ([column, row]: Point): Point => {
    const place = 2 * (row * GRID + column);
    const y = row + SHAKE * shake[place + 1];
    const x = wide * (column + SHAKE * shake[place]) - 0.5 * slant * y;
    return [cosine * x - sine * y, sine * x + cosine * y];
  };
  const ink = new Float64Array(SIDE * SIDE);
  for (const points of placed(shapes[label].map((stroke) => line(stroke, moved)), width)) {
    for (let i = 1; i < points.length; i++) draw(ink, points[i - 1], points[i], width, soft);
  }
  return Uint8Array.from(ink, (value) => Math.round(255 * Math.min(1, value)));
}

function part(name: string, each: number): ImageDataset {
  const count = classes.length;
  return checked({
    name: `letters/${name}`,
    size: each * count,
    classes,
    labelOf: (index) => index % count,
    get: (index) => {
      const label = index % count;
      const pixels = written(label, fold(key(0), "letters", name, index));
      return { pixels, height: SIDE, width: SIDE, channels: 1, label };
    },
  });
}

/**
 * Written letters of Latin, Greek, Cyrillic, Hebrew and Japanese: 4,000 of each to train on, 100 to test. Example i is of
 * class i modulo the number of classes.
 */
export function openLetters(): ImageSplits {
  return { train: part("train", 4000), test: part("test", 100) };
}
