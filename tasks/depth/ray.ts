/**
 * Casting rays at boxes: the part of rendering that knows no scene.
 *
 * @module
 */

/** Three coordinates: right, up, forward; metres. */
export type Vector = readonly [number, number, number];

/** How a surface looks: two colours (0 to 1) in a pattern of a given size. */
export interface Surface {
  /** Main colour. */
  readonly colour: Vector;
  /** Second colour of the pattern. */
  readonly other: Vector;
  /**
   * `plain`: mottled; `tiles`: a chequerboard; `planks`: rows with joints; `windows`: a grid of panes; `lanes`: dashed lines
   * every so many metres.
   */
  readonly pattern: "plain" | "tiles" | "planks" | "windows" | "lanes";
  /** Length of the pattern in metres. */
  readonly scale: number;
}

/** A box along the axes, seen from outside or (a room) from inside. */
export interface SceneBox {
  /** Smallest coordinates. */
  readonly low: Vector;
  /** Largest coordinates. */
  readonly high: Vector;
  /** The sides that face right or left, up or down, forward or back. */
  readonly surfaces: readonly [Surface, Surface, Surface];
}

/** Where a ray meets a box: how far along, and on which axis the side's normal lies. */
export interface Hit {
  /** In lengths of the direction. */
  readonly along: number;
  /** 0, 1 or 2. */
  readonly axis: number;
  /** What was met. */
  readonly box: SceneBox;
}

const NEAR = 1e-6;

/**
 * The first box that a ray meets from outside, before a limit. Written out for the three axes: this is where the time of
 * rendering goes.
 *
 * @param boxes What may be in the way
 * @param origin Where the ray starts
 * @param direction Where it goes
 * @param limit How far it is followed, in lengths of the direction
 */
export function firstHit(
  boxes: readonly SceneBox[],
  origin: Vector,
  direction: Vector,
  limit: number,
): Hit | undefined {
  const x = origin[0], y = origin[1], z = origin[2];
  const rightward = 1 / direction[0], upward = 1 / direction[1], forward = 1 / direction[2];
  let along = limit;
  let axis = 0;
  let box: SceneBox | undefined;
  for (const each of boxes) {
    const { low, high } = each;
    const x0 = ((rightward < 0 ? high[0] : low[0]) - x) * rightward;
    const x1 = ((rightward < 0 ? low[0] : high[0]) - x) * rightward;
    const y0 = ((upward < 0 ? high[1] : low[1]) - y) * upward;
    const y1 = ((upward < 0 ? low[1] : high[1]) - y) * upward;
    const z0 = ((forward < 0 ? high[2] : low[2]) - z) * forward;
    const z1 = ((forward < 0 ? low[2] : high[2]) - z) * forward;
    const enter = x0 > y0 ? (x0 > z0 ? x0 : z0) : (y0 > z0 ? y0 : z0);
    if (!(enter > NEAR && enter < along && enter < x1 && enter < y1 && enter < z1)) continue;
    along = enter;
    axis = enter === x0 ? 0 : enter === y0 ? 1 : 2;
    box = each;
  }
  return box === undefined ? undefined : { along, axis, box };
}

/**
 * Where a ray from inside a box meets its side.
 *
 * @param box The box around the origin
 * @param origin Where the ray starts
 * @param direction Where it goes
 */
export function innerHit(box: SceneBox, origin: Vector, direction: Vector): Hit {
  let [along, axis] = [Infinity, 0];
  for (let i = 0; i < 3; i++) {
    const side = direction[i] > 0 ? box.high[i] : box.low[i];
    const far = direction[i] === 0 ? Infinity : (side - origin[i]) / direction[i];
    if (far < along) [along, axis] = [far, i];
  }
  return { along, axis, box };
}

/** A number in [0, 1) that depends on two whole numbers alone. */
function noise(a: number, b: number): number {
  let hash = Math.imul(a, 0x27d4eb2d) ^ Math.imul(b, 0x165667b1);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return ((hash ^ (hash >>> 15)) >>> 0) * 2 ** -32;
}

/** How much of the second colour shows at a place of a surface, 0 to 1. */
function share({ pattern, scale }: Surface, u: number, v: number): number {
  const [column, row] = [Math.floor(u / scale), Math.floor(v / scale)];
  const [across, down] = [u / scale - column, v / scale - row];
  switch (pattern) {
    case "tiles":
      return (column + row) & 1;
    case "planks":
      return down < 0.08 ? 1 : 0.5 * noise(Math.floor((u / scale + noise(row, 7)) / 4), row);
    case "windows":
      return across > 0.25 && across < 0.75 && down > 0.3 && down < 0.8 ? 1 : 0;
    case "lanes":
      return (across < 0.03 || across > 0.97) && (v / 6 - Math.floor(v / 6)) < 0.5
        ? 1
        : 0.02 * noise(Math.floor(3 * u), Math.floor(3 * v));
    case "plain":
      return 0.25 * noise(column, row);
  }
}

/**
 * The colour of a surface at a point.
 *
 * @param surface How it looks
 * @param point Where
 * @param axis Axis of the side's normal; the other two are the pattern's
 */
export function colourAt(surface: Surface, point: Vector, axis: number): Vector {
  const [u, v] = axis === 0 ? [point[2], point[1]] : axis === 1 ? [point[0], point[2]] : [point[0], point[1]];
  const other = share(surface, u, v);
  const mix = (i: number) => surface.colour[i] + (surface.other[i] - surface.colour[i]) * other;
  return [mix(0), mix(1), mix(2)];
}
