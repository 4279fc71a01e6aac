/**
 * Draws a chart: a Vega-Lite specification comes in, SVG goes out. The libraries are fetched on first use and are none
 * of those that a checkout needs.
 *
 * @module
 */

/** What is used of Vega-Lite. */
interface VegaLite {
  readonly compile: (spec: unknown) => { readonly spec: unknown };
}

/** What is used of Vega. */
interface Vega {
  readonly parse: (spec: unknown) => unknown;
  readonly View: new (runtime: unknown, options: { readonly renderer: "none" }) => { toSVG(): Promise<string> };
}

// Not literals at the point of import, which would put the packages into the lock file.
const [vegaName, liteName] = ["npm:vega@6.4.0", "npm:vega-lite@6.5.0"];
const [{ parse, View }, { compile }] = [await import(vegaName) as Vega, await import(liteName) as VegaLite];
const spec: unknown = JSON.parse(await new Response(Deno.stdin.readable).text());
console.log(await new View(parse(compile(spec).spec), { renderer: "none" }).toSVG());
