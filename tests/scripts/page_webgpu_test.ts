/**
 * WebGPU in a browser, whose checks of WGSL are stricter than Deno's.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { bundled } from "../../scripts/page/site.ts";
import { hasChromium, startChromium } from "../support/chromium.ts";
import { gpuCases } from "../support/gpu_cases.ts";
import type { PageResult } from "../support/gpu_page.ts";

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
      assertEquals(found.map(({ name }) => name), [...Object.keys(gpuCases), "steps"]);
      for (const { name, difference, largest } of found) {
        assert(difference <= 1e-5 * Math.max(1, largest), `${name}: ${difference} of ${largest}`);
      }
    } finally {
      await server.shutdown();
      await Deno.remove(folder, { recursive: true });
    }
  },
});
