/**
 * The page of `deno task page` in a test: served, drawn on, clicked.
 *
 * @module
 */
import type { Site } from "../../scripts/page/site.ts";
import type { Tab } from "../../scripts/tools/chromium.ts";

/** Serves files to this machine while the body runs. */
export async function served(
  handler: (request: Request) => Response,
  body: (address: string) => Promise<void>,
): Promise<void> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, handler);
  try {
    await body(`http://localhost:${server.addr.port}/`);
  } finally {
    await server.shutdown();
  }
}

/** The files of a folder, by their paths in it. */
export async function filesIn(folder: string, prefix = ""): Promise<Site> {
  const found = new Map<string, Uint8Array<ArrayBuffer>>();
  for await (const { name, isDirectory } of Deno.readDir(`${folder}/${prefix}`)) {
    if (isDirectory) { for (const entry of await filesIn(folder, `${prefix}${name}/`)) found.set(...entry); }
    else found.set(`${prefix}${name}`, await Deno.readFile(`${folder}/${prefix}${name}`));
  }
  return found;
}

/** Draws a line through points of the drawing area. */
export async function draw(tab: Tab, points: readonly (readonly [number, number])[]): Promise<void> {
  const { left, top, width } = await tab.value<{ left: number; top: number; width: number }>(
    `(() => { const { left, top, width } = document.querySelector("#pad").getBoundingClientRect(); return { left, top, width } })()`,
  );
  const at = ([x, y]: readonly [number, number]) => ({ x: left + x * width / 280, y: top + y * width / 280 });
  const mouse = (type: string, point: readonly [number, number], buttons: number) =>
    tab.call("Input.dispatchMouseEvent", { type, ...at(point), button: "left", buttons, clickCount: 1 });
  await mouse("mousePressed", points[0], 1);
  for (const point of points) await mouse("mouseMoved", point, 1);
  await mouse("mouseReleased", points.at(-1)!, 0);
}

/** Clicks on an element. */
export function click(tab: Tab, selector: string): Promise<unknown> {
  return tab.value(`document.querySelector(${JSON.stringify(selector)}).click()`);
}

/** A seven. */
export const SEVEN = [[80, 70], [140, 68], [200, 70], [170, 130], [145, 180], [125, 230]] as const;

/** A one. */
export const ONE = [[140, 50], [141, 90], [140, 130], [139, 180], [140, 230]] as const;
