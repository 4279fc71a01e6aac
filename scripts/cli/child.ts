/**
 * Processes of deno that answer and end.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { denoCommand, moduleArgument, onDemandArguments, taskArguments } from "./deno.ts";

/** What a process of deno is given. */
export interface Surroundings {
  /** What is being done, for errors. */
  readonly attempted: string;
  /** Where it runs (default: here). */
  readonly folder?: URL;
  /** Changes of the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Ends it. */
  readonly signal?: AbortSignal;
  /** What it reads from its standard input. */
  readonly input?: string;
}

/**
 * What `deno run` printed.
 *
 * @param args Its arguments
 * @param surroundings See {@linkcode Surroundings}
 * @throws OneloraError with the last line that it said, if it failed
 */
export async function childOutput(
  args: readonly string[],
  { attempted, folder, env, signal, input = "" }: Surroundings,
): Promise<string> {
  const child = new Deno.Command(await denoCommand(), {
    args: ["run", "--no-prompt", ...args],
    cwd: folder,
    env,
    signal,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [{ success, stdout, stderr }] = await Promise.all([
    child.output(),
    // A process that ends early closes its input; what it said then tells why.
    new Blob([input]).stream().pipeTo(child.stdin).catch(() => {}),
  ]);
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trim());
  if (success) return out;
  if (signal?.aborted) throw new OneloraError({ attempted, found: "an interrupt", allowed: "its end" });
  const said = err.split("\n").at(-1)!.replace(/^error: /, "");
  throw new OneloraError({ attempted, found: said || "a process that ended without a word", allowed: "its end" });
}

/**
 * A chart as SVG, drawn by a process without permissions.
 *
 * @param spec Vega-Lite specification
 */
export async function draw(spec: object): Promise<string> {
  const args = [...onDemandArguments(), "--ignore-env", moduleArgument(new URL("./chart_process.ts", import.meta.url))];
  return await childOutput(args, { attempted: "drawing a chart", input: JSON.stringify(spec) });
}

/**
 * A picture of vectors as PNG, at twice the size that it says.
 *
 * @param svg The picture
 */
export async function rasterised(svg: string): Promise<Uint8Array> {
  const script = moduleArgument(new URL("./png_process.ts", import.meta.url));
  const attempted = "drawing a PNG";
  return Uint8Array.fromBase64(await childOutput([...taskArguments("evaluate"), script], { attempted, input: svg }));
}
