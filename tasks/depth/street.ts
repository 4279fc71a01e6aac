/**
 * Streets: a road with lane marks between pavements, houses along it, cars and trees, haze and sky.
 *
 * @module
 */

import { fold, type Key } from "../../dsl/random.ts";
import type { SceneBox, Surface } from "./ray.ts";
import { axes, type Choices, choices, same, type Scene, standing } from "./scene.ts";

const LANE = 3.5;
const END = 120;

/** A body and a cabin on it. */
function car({ between, surface }: Choices, x: number, z: number): readonly SceneBox[] {
  const paint = surface("plain", 3, 0.8);
  const [wide, long] = [between(1.7, 2), between(3.8, 4.8)];
  const glass: Surface = { ...paint, colour: [0.08, 0.09, 0.11] };
  return [
    standing([x, z], [wide, 0.7, long], same(paint), 0.25),
    standing([x, z], [wide * 0.85, 0.55, long * 0.5], [glass, paint, glass], 0.95),
    standing([x, z], [wide * 0.9, 0.25, long * 0.8], same({ ...paint, colour: [0.02, 0.02, 0.02] })),
  ];
}

/** A trunk and a crown. */
function tree({ between, surface }: Choices, x: number, z: number): readonly SceneBox[] {
  const [trunk, crown] = [between(1.8, 2.6), between(1.6, 3)];
  const leaves: Surface = { ...surface("plain", 0.3), colour: [0.08, 0.25, 0.06], other: [0.02, 0.06, 0.02] };
  return [
    standing([x, z], [0.3, trunk, 0.3], same({ ...leaves, colour: [0.2, 0.13, 0.08] })),
    standing([x, z], [crown, crown, crown], same(leaves), trunk),
  ];
}

/** Houses side by side from the camera to the end of the street. */
function houses({ between, whole, surface }: Choices, side: -1 | 1, from: number): readonly SceneBox[] {
  const row: SceneBox[] = [];
  for (let z = between(-4, 6); z < END;) {
    const [long, deep] = [between(7, 16), between(6, 10)];
    const front = surface("windows", between(2, 3.2), 0.7);
    const set = from + between(0, 2.5) + deep / 2;
    row.push(standing([side * set, z + long / 2], [deep, between(4, 16), long], same(front)));
    z += long + (whole(0, 2) === 0 ? between(2, 8) : 0);
  }
  return row;
}

/** A random street; what is nearer than 2 m or farther than 80 m has no depth. */
export function street(from: Key): Scene {
  const choose = choices(fold(from, "street"));
  const { between, whole, surface } = choose;
  const grey = between(0.1, 0.2);
  const asphalt: Surface = { colour: [grey, grey, grey], other: [0.75, 0.75, 0.72], pattern: "lanes", scale: LANE };
  const pavement = surface("tiles", 1, 0.4);
  const [lanes, walk] = [whole(1, 2), between(2, 3.5)];
  const edge = lanes * LANE;
  const ground: SceneBox = { low: [-200, -0.5, -5], high: [200, 0, 400], surfaces: same(asphalt) };
  const pavements = [-1, 1].map((side) => standing([side * (edge + walk / 2), 60], [walk, 0.12, 140], same(pavement)));
  const cars = Array.from({ length: whole(2, 6) }, (_, i) => {
    const parked = i % 2 === 1;
    const lane = whole(0, 2 * lanes - 1) - lanes + 0.5;
    const x = parked ? (whole(0, 1) * 2 - 1) * (edge - 1.1) : lane * LANE;
    return car(choose, x, between(parked ? 6 : 9, parked ? 30 : 65));
  });
  const trees = Array.from({ length: whole(0, 6) }, () => {
    return tree(choose, (whole(0, 1) * 2 - 1) * (edge + between(0.8, walk)), between(7, 60));
  });
  const day = between(0.7, 1);
  return {
    boxes: [
      ground,
      ...pavements,
      ...cars.flat(),
      ...trees.flat(),
      ...houses(choose, -1, edge + walk),
      ...houses(choose, 1, edge + walk),
    ],
    eye: [(whole(0, lanes - 1) + 0.5) * LANE + between(-0.3, 0.3), between(1.5, 1.8), 0],
    ...axes(between(-0.06, 0.06), between(0, 0.06)),
    focal: 0.72,
    range: [2, 80],
    ambient: day,
    sides: [0.65, 1, 0.85],
    haze: between(0.004, 0.012),
    sky: [0.55 * day, 0.68 * day, 0.85 * day],
  };
}
