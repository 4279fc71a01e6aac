/**
 * Turns a picture of vectors into one of pixels: SVG comes in, PNG goes out as base64, at twice the size.
 *
 * @module
 */
import { loadSharp } from "../../tasks/data/sharp.ts";

/** Dots an inch of a picture twice as large as it says. */
const DENSITY = 144;

const svg = new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer());
const sharp = await loadSharp();
const { data } = await sharp(svg, { density: DENSITY }).png().toBuffer({ resolveWithObject: true });
console.log(data.toBase64());
