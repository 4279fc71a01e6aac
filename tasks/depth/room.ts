/**
 * Rooms: floor, walls and ceiling, furniture on the floor and pictures on the walls, one lamp.
 *
 * @module
 */

import { fold, type Key } from "../../dsl/random.ts";
import type { SceneBox } from "./ray.ts";
import { axes, choices, same, type Scene, standing } from "./scene.ts";

/** A random room; all of it is 0.5 to 10 m away. */
export function room(from: Key): Scene {
  const { between, whole, surface } = choices(fold(from, "room"));
  const [wide, high, deep] = [between(3, 6), between(2.3, 3), between(3, 8)];
  const walls = surface("plain", 0.12, 0.9);
  const floor = whole(0, 1) === 0 ? surface("tiles", 0.5) : surface("planks", 0.25);
  const around: SceneBox = {
    low: [-wide / 2, 0, -1],
    high: [wide / 2, high, deep],
    surfaces: [walls, floor, { ...walls, colour: [walls.colour[0] * 0.9, walls.colour[1] * 0.9, walls.colour[2]] }],
  };
  const furniture = Array.from({ length: whole(2, 6) }, () => {
    const size = [between(0.3, 1.2), between(0.3, 1.9), between(0.3, 1)] as const;
    const place = [between(-0.45, 0.45) * wide, between(1.9, Math.max(2.2, deep - 0.4))] as const;
    return standing(place, size, same(surface(whole(0, 2) === 0 ? "planks" : "plain", 0.15)));
  });
  const pictures = Array.from({ length: whole(0, 2) }, () => {
    const size = [between(0.4, 0.9), between(0.3, 0.7), 0.06] as const;
    const place = [between(-0.35, 0.35) * wide, deep - 0.03] as const;
    return standing(place, size, same(surface("tiles", 0.2)), between(1.2, 1.5));
  });
  return {
    boxes: [...furniture, ...pictures],
    around,
    eye: [between(-0.15, 0.15) * wide, between(1.2, 1.6), 0],
    ...axes(between(-0.3, 0.3), between(0, 0.15)),
    focal: 0.85,
    range: [0.5, 10],
    lamp: [between(-0.3, 0.3) * wide, high - 0.2, between(0.2, 0.7) * deep],
    ambient: between(0.25, 0.4),
    sides: [0.9, 1, 0.8],
    haze: 0,
    sky: [0, 0, 0],
  };
}
