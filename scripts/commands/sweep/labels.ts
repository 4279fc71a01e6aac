/**
 * Where a chart's labels go so that none hides another or a mark.
 *
 * @module
 */

/** A mark, in pixels. */
export interface Mark {
  /** Its middle. */
  readonly x: number;
  /** Its middle. */
  readonly y: number;
  /** Its radius. */
  readonly radius: number;
  /** What it is to be called. */
  readonly text: string;
}

/** A place in pixels. */
export interface Place {
  /** From the left. */
  readonly x: number;
  /** From the top. */
  readonly y: number;
}

/** Height of a line and width of a character, in pixels. */
const [LINE, CHARACTER] = [14, 6.4];

/** A rectangle: left, top, right, bottom. */
type Box = readonly [number, number, number, number];

function overlap(a: Box, b: Box): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  return width > 0 && height > 0 ? width * height : 0;
}

function boxAround({ x, y }: Place, text: string): Box {
  const half = text.length * CHARACTER / 2 + 2;
  return [x - half, y - LINE / 2, x + half, y + LINE / 2];
}

/** How much of a box lies outside the chart. */
function outside(box: Box, width: number, height: number): number {
  const whole = (box[2] - box[0]) * (box[3] - box[1]);
  return whole - overlap(box, [0, 0, width, height]);
}

/**
 * A place for each mark's label: the nearest one of those around the mark that hides least.
 *
 * @param marks The marks
 * @param size Width and height of the chart in pixels
 * @returns Middles of the labels, in the marks' order, and whether they are so far off that a line has to lead there
 */
export function placeLabels(
  marks: readonly Mark[],
  { width, height }: { readonly width: number; readonly height: number },
): readonly (Place & { readonly isFar: boolean })[] {
  const taken: Box[] = marks.map(({ x, y, radius }) => [x - radius, y - radius, x + radius, y + radius] as const);
  return marks.map(({ x, y, radius, text }, own) => {
    const half = text.length * CHARACTER / 2;
    const around = [4, 16, 30, 46, 64].flatMap((away) =>
      Array.from({ length: 16 }, (_, i) => {
        const angle = i * Math.PI / 8;
        const [dx, dy] = [Math.cos(angle), Math.sin(angle)];
        return { x: x + dx * (radius + away + half * Math.abs(dx)), y: y + dy * (radius + away + LINE / 2), away };
      })
    );
    const cost = (place: Place & { readonly away: number }) => {
      const box = boxAround(place, text);
      const hidden = taken.reduce((sum, each, i) => sum + (i === own ? 2 : 1) * overlap(box, each), 0);
      return hidden * 4 + outside(box, width, height) * 8 + place.away;
    };
    const costs = around.map(cost);
    const chosen = around[costs.indexOf(Math.min(...costs))];
    taken.push(boxAround(chosen, text));
    return { x: chosen.x, y: chosen.y, isFar: chosen.away > around[0].away };
  });
}

/** Corners where a legend may lie, the one that it takes if all are alike first. */
const CORNERS = ["bottom-right", "top-right", "bottom-left", "top-left"] as const;
/** Pixels of a legend with what is around it. */
const LEGEND = { width: 130, height: 140 };

/**
 * The corner where a legend covers the fewest of some places.
 *
 * @param places Of marks and labels
 * @param size Of the chart, in pixels
 */
export function freeCorner(
  places: readonly Place[],
  size: { readonly width: number; readonly height: number },
): typeof CORNERS[number] {
  const covered = CORNERS.map((corner) =>
    places.filter(({ x, y }) =>
      (corner.endsWith("right") ? size.width - x : x) < LEGEND.width &&
      (corner.startsWith("bottom") ? size.height - y : y) < LEGEND.height
    ).length
  );
  return CORNERS[covered.indexOf(Math.min(...covered))];
}
