/**
 * Rendered scenes with exact depth, in three domains: rooms (0.5 to 10 m), streets (2 to 80 m) and open terrain (1 to 80 m). Built in, so that a model
 * can be pretrained on one and adapted to the other without any download. Only +, -, *, / and square roots decide a pixel,
 * so that the bytes are the same on every machine.
 *
 * @module
 */

import { OneloraError, unknownName } from "../../dsl/error.ts";
import { fold, type Key, key } from "../../dsl/random.ts";
import { type Origin, withOrigins } from "../data/origin.ts";
import {
  checkedDepth,
  type DepthDataset,
  type DepthExample,
  type DepthProtocol,
  depthProtocols,
  type DepthSplits,
} from "./dataset.ts";
import { colourAt, firstHit, type Hit, innerHit, type Vector } from "./ray.ts";
import { room } from "./room.ts";
import { street } from "./street.ts";
import { terrain } from "./terrain.ts";
import type { Scene, SceneDomain } from "./scene.ts";

/** The rules of each domain. */
const protocols: Readonly<Record<SceneDomain, DepthProtocol>> = {
  indoor: depthProtocols.scenesIndoor,
  driving: depthProtocols.scenesDriving,
  outdoor: depthProtocols.scenesOutdoor,
};

/** How a domain's scenes are made. */
const domains: Readonly<Record<SceneDomain, (from: Key) => Scene>> = {
  indoor: room,
  driving: street,
  outdoor: terrain,
};

/** What a ray sees first, or nothing (the sky). */
function seen({ boxes, around }: Scene, origin: Vector, direction: Vector): Hit | undefined {
  const inner = around === undefined ? undefined : innerHit(around, origin, direction);
  return firstHit(boxes, origin, direction, inner?.along ?? Infinity) ?? inner;
}

/** What a lamp at a point sends to a side: less at a slant and from afar, nothing through a box. */
function lamplight(scene: Scene, lamp: Vector, point: Vector, axis: number): number {
  const to: Vector = [lamp[0] - point[0], lamp[1] - point[1], lamp[2] - point[2]];
  const square = to[0] * to[0] + to[1] * to[1] + to[2] * to[2];
  if (firstHit(scene.boxes, point, [to[0] * 0.999, to[1] * 0.999, to[2] * 0.999], 1) !== undefined) return 0;
  return Math.abs(to[axis]) / Math.sqrt(square) / (1 + 0.08 * square);
}

/** The colour that a hit sends to the eye. */
function shade(scene: Scene, { axis, box }: Hit, point: Vector, depth: number): Vector {
  const { lamp, sides, ambient, haze, sky } = scene;
  const [red, green, blue] = colourAt(box.surfaces[axis], point, axis);
  const light = ambient * sides[axis] + (lamp === undefined ? 0 : lamplight(scene, lamp, point, axis));
  const clear = 1 / (1 + depth * haze);
  const through = (own: number, air: number) => own * light * clear + air * (1 - clear);
  return [through(red, sky[0]), through(green, sky[1]), through(blue, sky[2])];
}

/**
 * A scene of a domain as a camera sees it. Depth is 0 outside of the domain's range and in the sky.
 *
 * @param domain `indoor`, `driving` or `outdoor`
 * @param from Key of everything random
 * @param size Rows and columns of the picture
 *
 * @example
 * ```ts
 * import { key } from "@onelora/onelora/dsl";
 * import { renderScene } from "./scenes.ts";
 * import { assert, assertEquals } from "@std/assert";
 * const { pixels, depth } = renderScene("indoor", key(7), { height: 28, width: 42 });
 * assertEquals([pixels.length, depth.length], [28 * 42 * 3, 28 * 42]);
 * assert(depth.every((metres) => metres >= 0.5 && metres <= 10));
 * ```
 */
export function renderScene(
  domain: SceneDomain,
  from: Key,
  size: { readonly height: number; readonly width: number },
): DepthExample {
  const { height, width } = size;
  if (![height, width].every((each) => Number.isInteger(each) && each > 0)) {
    throw new OneloraError({
      attempted: "rendering a scene",
      found: `${height}x${width} pixels`,
      allowed: "positive whole sizes",
    });
  }
  const scene = domains[domain](from);
  const { eye, right, up, forward, focal, range: [nearest, farthest] } = scene;
  const pixels = new Uint8Array(3 * height * width);
  const depth = new Float32Array(height * width);
  for (let y = 0, at = 0; y < height; y++) {
    const b = (height / 2 - y - 0.5) / (focal * width);
    for (let x = 0; x < width; x++, at++) {
      const a = (x + 0.5 - width / 2) / (focal * width);
      // One long along the optical axis, so that lengths along the ray are depths.
      const direction: Vector = [
        forward[0] + a * right[0] + b * up[0],
        forward[1] + a * right[1] + b * up[1],
        forward[2] + a * right[2] + b * up[2],
      ];
      const hit = seen(scene, eye, direction);
      const far = hit?.along ?? Infinity;
      if (far >= nearest && far <= farthest) depth[at] = far;
      const point: Vector = [eye[0] + far * direction[0], eye[1] + far * direction[1], eye[2] + far * direction[2]];
      const colour = hit === undefined ? scene.sky : shade(scene, hit, point, far);
      for (let c = 0; c < 3; c++) pixels[3 * at + c] = Math.min(255, Math.floor(256 * Math.sqrt(colour[c])));
    }
  }
  return { pixels, depth, height, width };
}

/** Sizes of a data set of scenes. */
export interface SceneOptions {
  /** Rows of the pictures; 56 by default. */
  readonly height?: number;
  /** Columns of the pictures; 56 by default. */
  readonly width?: number;
  /** Scenes to train on; 2000 by default. */
  readonly train?: number;
  /** Scenes to evaluate on, none of them among the former; 200 by default. */
  readonly test?: number;
  /** Seed of all scenes; 0 by default. */
  readonly seed?: number;
}

/** Bytes of a part's scenes up to which they are kept once rendered. */
const KEPT_BYTES = 2 ** 26;

/**
 * A data set of scenes, rendered when they are first read; scene i of a part depends on the seed, the part and i alone.
 *
 * @param domain `indoor`, `driving` or `outdoor`
 * @param options Sizes and seed
 */
export function sceneSplits(domain: SceneDomain, options: SceneOptions = {}): DepthSplits {
  const { height = 56, width = 56, train = 2000, test = 200, seed = 0 } = options;
  if (!Object.hasOwn(domains, domain)) throw unknownName("domain of scenes", domain, Object.keys(domains));
  const part = (name: string, size: number): DepthDataset => {
    const render = (index: number) =>
      renderScene(domain, fold(key(seed), "scenes", domain, name, index), { height, width });
    const kept: DepthExample[] = [];
    const isSmall = size * height * width * (3 + Float32Array.BYTES_PER_ELEMENT) <= KEPT_BYTES;
    return checkedDepth({
      name: `scenes-${domain}/${name}`,
      size,
      get: isSmall ? (index) => kept[index] ??= render(index) : render,
    });
  };
  const origin: Origin = { module: import.meta.url, name: "sceneSplits", arguments: [domain, options], reads: [] };
  return {
    ...withOrigins({ train: part("train", train), test: part("test", test) }, origin),
    protocol: protocols[domain],
  };
}
