/**
 * Pictures as files, encoded by sharp.
 *
 * @module
 */
const specifier = "npm:sharp@0.35.5";

/** sharp itself. */
// deno-lint-ignore no-explicit-any -- its types are of a package that nothing else needs
export const { default: sharp }: any = await import(specifier);

/** A picture of one colour, 6 by 4 pixels. */
export async function picture(
  background: { readonly r: number; readonly g: number; readonly b: number; readonly alpha?: number },
  format: "png" | "jpeg" | "webp" = "png",
): Promise<Uint8Array> {
  const channels = background.alpha === undefined ? 3 : 4;
  const image = sharp({ create: { width: 6, height: 4, channels, background } });
  return new Uint8Array(await image.toFormat(format, { quality: 100 }).toBuffer());
}

/** A red one. */
export const red: Uint8Array = await picture({ r: 200, g: 10, b: 20 });
