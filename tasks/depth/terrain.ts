/**
 * Open terrain: rising and falling ground in steps, rocks, trees, a fence, hills on the horizon, haze and sky.
 *
 * @module
 */

import { fold, type Key } from "../../dsl/random.ts";
import type { SceneBox, Surface } from "./ray.ts";
import { axes, type Choices, choices, same, type Scene, standing } from "./scene.ts";

/** How far the ground is laid out in steps; beyond it there are hills. */
const END = 60;

/** Ground in strips across the view, each a little higher or lower than the one before. */
function ground({ between, surface }: Choices): readonly SceneBox[] {
  const grass = surface("plain", 0.4);
  const strips: SceneBox[] = [];
  let height = 0;
  for (let z = -3; z < END;) {
    const long = between(2, 6);
    const shade = between(0.8, 1.1);
    const colour = [0.16 * shade, 0.26 * shade, 0.07 * shade] as const;
    const look: Surface = { ...grass, colour, other: [0.1 * shade, 0.12 * shade, 0.05 * shade] };
    strips.push({ low: [-60, height - 3, z], high: [60, height, z + long], surfaces: same(look) });
    height += between(-0.25, 0.35);
    z += long;
  }
  return strips;
}

/** A stone, now and then with a smaller one on top. */
function rock({ between, whole, surface }: Choices, x: number, z: number): readonly SceneBox[] {
  const grey = between(0.2, 0.45);
  const stone: Surface = { ...surface("plain", 0.25), colour: [grey, grey, grey * 0.95] };
  const [wide, high] = [between(0.5, 2.4), between(0.4, 1.6)];
  const below = standing([x, z], [wide, high + 1, wide * between(0.6, 1.2)], same(stone), -1);
  return whole(0, 1) === 0
    ? [below]
    : [below, standing([x, z], [wide * 0.6, high * 0.5, wide * 0.5], same(stone), high)];
}

/** A pine: a trunk and three crowns, each smaller than the one below. */
function pine({ between, surface }: Choices, x: number, z: number): readonly SceneBox[] {
  const size = between(0.7, 1.5);
  const needles: Surface = { ...surface("plain", 0.3), colour: [0.05, 0.17, 0.06], other: [0.02, 0.06, 0.03] };
  const trunk = standing(
    [x, z],
    [0.3 * size, 3 * size, 0.3 * size],
    same({ ...needles, colour: [0.18, 0.11, 0.06] }),
    -1,
  );
  return [
    trunk,
    ...[2.4, 1.7, 0.9].map((wide, i) =>
      standing([x, z], [wide * size, 1.3 * size, wide * size], same(needles), (1.4 + 1.2 * i) * size)
    ),
  ];
}

/** Posts and rails across the view. */
function fence({ between }: Choices, z: number, wood: Surface): readonly SceneBox[] {
  const from = between(-10, -4);
  const posts = Array.from({ length: 8 }, (_, i) => standing([from + 2 * i, z], [0.12, 2, 0.12], same(wood), -1));
  const rails = [0.4, 0.85].map((above) => standing([from + 7, z], [14, 0.1, 0.06], same(wood), above));
  return [...posts, ...rails];
}

/** Random open terrain; what is nearer than 1 m or farther than 80 m has no depth. */
export function terrain(from: Key): Scene {
  const choose = choices(fold(from, "terrain"));
  const { between, whole, surface } = choose;
  const place = (near: number, far: number) => {
    const z = between(near, far);
    return [between(-0.6, 0.6) * z, z] as const;
  };
  const scattered = (most: number, near: number, far: number, make: typeof rock) =>
    Array.from({ length: whole(1, most) }, () => make(choose, ...place(near, far))).flat();
  const day = between(0.65, 1);
  const hills = Array.from({ length: whole(2, 4) }, (_, i) => {
    const tone = between(0.15, 0.3);
    const look: Surface = { ...surface("plain", 3), colour: [tone, tone * 1.2, tone * 0.8] };
    return standing([between(-40, 40), END + 8 * i], [between(20, 60), between(5, 14) + 3, 8], same(look), -3);
  });
  return {
    boxes: [
      ...ground(choose),
      ...hills,
      ...scattered(6, 3, 30, rock),
      ...scattered(9, 6, 50, pine),
      ...(whole(0, 1) === 0
        ? fence(choose, between(4, 12), { ...surface("planks", 0.1), colour: [0.3, 0.2, 0.12] })
        : []),
    ],
    eye: [0, between(1.4, 2.2), 0],
    ...axes(between(-0.15, 0.15), between(-0.02, 0.1)),
    focal: 0.8,
    range: [1, 80],
    ambient: day,
    sides: [0.6, 1, 0.8],
    haze: between(0.006, 0.016),
    sky: [0.5 * day, 0.65 * day, 0.9 * day],
  };
}
