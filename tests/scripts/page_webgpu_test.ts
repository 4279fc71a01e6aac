/**
 * WebGPU in a browser, whose checks of WGSL are stricter than Deno's.
 *
 * @module
 */
import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { answering } from "../../scripts/page/serve.ts";
import { bundled } from "../../scripts/page/site.ts";
import { hasChromium, startChromium } from "../../scripts/tools/chromium.ts";
import { gpuCases } from "../support/gpu_cases.ts";
import { output } from "../support/command.ts";
import type { PageResult } from "../support/gpu_page.ts";
import { click, draw, filesIn, ONE, served, SEVEN } from "../support/page.ts";

const browser = await hasChromium();
if (!browser) console.log("no chromium here: WebGPU in a browser is skipped");

Deno.test({
  name: "a page computes through WebGPU what it computes on the processor, and takes the same steps",
  ignore: !browser,
  fn: async () => {
    const code = await bundled(new URL("../support/gpu_page.ts", import.meta.url));
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      (request) =>
        new URL(request.url).pathname === "/page.js"
          ? new Response(code, { headers: { "content-type": "text/javascript" } })
          : new Response('<script type="module" src="/page.js"></script>', {
            headers: { "content-type": "text/html" },
          }),
    );
    const folder = await Deno.makeTempDir();
    try {
      await using chromium = await startChromium(folder, true);
      const tab = await chromium.open(`http://localhost:${server.addr.port}/`);
      await tab.until('typeof results === "function"', 30);
      const found = await tab.value<readonly PageResult[] | undefined>("results()");
      if (found === undefined) {
        console.log("this chromium has no WebGPU adapter: skipped");
        return;
      }
      const bySubgroups = "rows by subgroups";
      if (!found.some(({ name }) => name === bySubgroups)) console.log("this adapter has no subgroups: not run");
      assertEquals(found.map(({ name }) => name).filter((name) => name !== bySubgroups), [
        ...Object.keys(gpuCases),
        "rows whose threads share memory",
        "steps",
      ]);
      for (const { name, difference, largest } of found) {
        assert(difference <= 1e-5 * Math.max(1, largest), `${name}: ${difference} of ${largest}`);
      }
    } finally {
      await server.shutdown();
      await Deno.remove(folder, { recursive: true });
    }
  },
});

/** Seconds for what a software adapter compiles and computes beside other tests. */
const LONG = 400;

/** What the page has learned from two digits on an engine, and how its loss went; nothing where that engine is not there. */
async function learned(address: string, folder: string, backend: "webgpu" | "wasm") {
  // The same browser for both: another draws other edges.
  await using chromium = await startChromium(folder, true);
  const tab = await chromium.open(`${address}?backend=${backend}&steps=3`);
  await tab.until(`document.querySelector("#train")?.disabled === false`, LONG);
  if (backend === "webgpu" && !await tab.value<boolean>("navigator.gpu?.requestAdapter().then(Boolean) ?? false")) {
    return undefined;
  }
  const engine = await tab.value<string>("document.querySelector('#status').textContent");
  await click(tab, "#start");
  for (const [digit, points] of [[1, ONE], [7, SEVEN]] as const) {
    await click(tab, "#clear");
    await draw(tab, points);
    await click(tab, `#labels input[value='${digit}']`);
    await click(tab, "#add");
  }
  await click(tab, "#train");
  await tab.until("seen.after !== undefined", LONG);
  assertEquals(tab.errors, []);
  return {
    engine,
    ...await tab.value<Readonly<Record<"pixels" | "before" | "after" | "losses", number[]>>>(
      `({ pixels: seen.pixels, before: seen.before.values, after: seen.after.values, losses })`,
    ),
  };
}

Deno.test({
  name: "a visitor's page trains through WebGPU, and learns what it learns on wasm",
  ignore: !browser,
  sanitizeResources: false,
  sanitizeOps: false,
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      const made = `${folder}/site`;
      await output("page", "--out", made);
      const site = await filesIn(made);
      await served(answering(site), async (address) => {
        const found = await learned(address, folder, "webgpu");
        if (found === undefined) {
          console.log("this chromium has no WebGPU adapter: the page through WebGPU is skipped");
          return;
        }
        assertMatch(found.engine, /^Ready after .* s: (software )?adapter .*, steps in one submission/);
        const expected = (await learned(address, folder, "wasm"))!;
        assertMatch(expected.engine, /: WebAssembly/);
        assertEquals(found.pixels, expected.pixels);
        expected.before.forEach((each, i) => assertAlmostEquals(found.before[i], each, 1e-4));
        assertEquals(found.losses.length, 3);
        expected.losses.forEach((each, i) => assertAlmostEquals(found.losses[i], each, 1e-3 * each));
        expected.after.forEach((each, i) => assertAlmostEquals(found.after[i], each, 1e-2));
        // Of the two digits it has learned that this is the seven.
        assert(found.losses[1] < 0.5 * found.losses[0], `${found.losses}`);
        assert(found.after[1] > found.after[0] + 0.5, `${found.after}`);
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
