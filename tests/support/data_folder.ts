/** Runs a test in a temporary folder with the given files; paths may have folders in them, `undefined` leaves one out. */
export async function withFolder<T>(
  files: Readonly<Record<string, Uint8Array | string | undefined>>,
  body: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [path, content] of Object.entries(files)) {
      if (content === undefined) continue;
      const at = `${folder}/${path}`;
      await Deno.mkdir(at.slice(0, at.lastIndexOf("/")), { recursive: true });
      await Deno.writeFile(at, typeof content === "string" ? new TextEncoder().encode(content) : content);
    }
    return await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs a test in a temporary folder. */
export function inFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  return withFolder({}, body);
}
