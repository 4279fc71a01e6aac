/**
 * What a rendered scene consists of, and random choices for making one.
 *
 * @module
 */

import { type Key, uniform } from "../../dsl/random.ts";
import type { SceneBox, Surface, Vector } from "./ray.ts";

/** Kinds of scenes. */
export type SceneDomain = "indoor" | "driving" | "outdoor";

/** Everything that rendering needs. */
export interface Scene {
  /** Things to see. */
  readonly boxes: readonly SceneBox[];
  /** The room around the camera, if it is indoors. */
  readonly around?: SceneBox;
  /** Where the camera is. */
  readonly eye: Vector;
  /** Its axes, of length 1. */
  readonly right: Vector;
  readonly up: Vector;
  readonly forward: Vector;
  /** Focal length in widths of the picture. */
  readonly focal: number;
  /** Nearest and farthest depth in metres. */
  readonly range: readonly [number, number];
  /** A lamp that throws shadows, if any. */
  readonly lamp?: Vector;
  /** Light from everywhere. */
  readonly ambient: number;
  /** How much of it sides get whose normal lies along each axis. */
  readonly sides: Vector;
  /** How much colours fade into the sky's: by half at 1 / haze metres. */
  readonly haze: number;
  /** Colour of the sky. */
  readonly sky: Vector;
}

/** Random choices, one after the other. */
export interface Choices {
  /** A number between two. */
  between(low: number, high: number): number;
  /** A whole number from low to high. */
  whole(low: number, high: number): number;
  /** A surface of one pattern with random colours. */
  surface(pattern: Surface["pattern"], scale: number, brightness?: number): Surface;
}

const MOST = 1024;

/** Choices that depend on a key alone. */
export function choices(from: Key): Choices {
  const draws = uniform(from, MOST);
  let next = 0;
  const between = (low: number, high: number) => low + (high - low) * draws[next++ % MOST];
  const whole = (low: number, high: number) => Math.floor(between(low, high + 1));
  return {
    between,
    whole,
    surface: (pattern, scale, brightness = 0.6) => {
      const colour = () => brightness * between(0.4, 1.2);
      const main: Vector = [colour(), colour(), colour()];
      const second = between(0.35, 0.75);
      return { colour: main, other: [main[0] * second, main[1] * second, main[2] * second], pattern, scale };
    },
  };
}

/** The camera's axes: turned right by the slope `yaw` and down by the slope `pitch`. */
export function axes(yaw: number, pitch: number): Pick<Scene, "right" | "up" | "forward"> {
  const [c, s] = [1 / Math.sqrt(1 + yaw * yaw), yaw / Math.sqrt(1 + yaw * yaw)];
  const [d, t] = [1 / Math.sqrt(1 + pitch * pitch), pitch / Math.sqrt(1 + pitch * pitch)];
  return { right: [c, 0, -s], up: [s * t, d, c * t], forward: [s * d, -t, c * d] };
}

/** A box that looks the same on all sides. */
export function same(one: Surface): SceneBox["surfaces"] {
  return [one, one, one];
}

/** A box by where it stands: its middle, its sizes, and how high above the ground it starts. */
export function standing(
  [x, z]: readonly [number, number],
  [wide, high, deep]: Vector,
  surfaces: SceneBox["surfaces"],
  above = 0,
): SceneBox {
  return {
    low: [x - wide / 2, above, z - deep / 2],
    high: [x + wide / 2, above + high, z + deep / 2],
    surfaces,
  };
}
