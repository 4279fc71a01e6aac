/**
 * The processes that measure: ours, one a job, made ready first and timed when it is their turn; PyTorch's, one for a list.
 *
 * @module
 */
import { resolve } from "node:path";
import { fileOf } from "../../../dsl/files/path.ts";
import { firstLine } from "../../../dsl/error.ts";
import { openModel } from "../../../models/mod.ts";
import type { CardAnswer, CardJob } from "./job.ts";
import { plannedBytes } from "./memory.ts";

/** What came of a job. */
export interface Row {
  readonly job: CardJob;
  readonly answer?: CardAnswer;
  readonly failed?: string;
}

/** Where processes find what they need, and write. */
export interface Place {
  /** Folder of the results. */
  readonly out: string;
  /** Interpreter with PyTorch. */
  readonly python: string;
  /** The library of kernels.c, if there is one. */
  readonly counter?: string;
  /** Told what a process said when it failed. */
  readonly note: (line: string) => void;
  /** Seconds after which a process is ended that has not answered. */
  readonly seconds: () => number;
}

/** Ends a process that takes too long. */
function endAfter(process: Deno.ChildProcess, seconds: number): void {
  const timer = setTimeout(() => {
    try {
      process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }, seconds * 1000);
  process.status.finally(() => clearTimeout(timer));
}

const here = (name: string) => fileOf(new URL(name, import.meta.url));

/** The lines of a process, one after the other; undefined at its end. */
function lineReader(stream: ReadableStream<Uint8Array>): () => Promise<string | undefined> {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  return async () => {
    for (;;) {
      const end = waiting.indexOf("\n");
      if (end >= 0) {
        const line = waiting.slice(0, end);
        waiting = waiting.slice(end + 1);
        return line;
      }
      const { value, done } = await reader.read();
      if (done) return undefined;
      waiting += value;
    }
  };
}

/** One of our processes. */
export interface Ready {
  /** Seconds to its first step, once that is done; undefined if it never was. */
  readonly first: Promise<number | undefined>;
  /** Has it time its steps. */
  readonly measure: () => Promise<Row>;
}

/**
 * Starts a process that makes our step ready.
 *
 * @param job The step
 * @param name A name that no other process of this run has
 * @param place See {@linkcode Place}
 * @param dump Have XLA write down its plan
 */
export function start(job: CardJob, name: string, place: Place, dump: boolean): Ready {
  const { out, counter, note, seconds } = place;
  const folder = `${out}/xla-${name}`;
  const flags = [
    Deno.env.get("XLA_FLAGS") ?? "",
    job.flags ?? "",
    ...dump ? [`--xla_dump_to=${folder}`, "--xla_dump_hlo_as_text"] : [],
  ];
  if (job.programs !== undefined) Deno.mkdirSync(resolve(out, job.programs), { recursive: true });
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--cached-only", "--allow-read", "--allow-write", "--allow-ffi", "--allow-env"],
      here("ours.ts"),
      JSON.stringify(job),
      `${out}/kernels-${name}.txt`,
    ],
    env: {
      XLA_FLAGS: flags.join(" ").trim(),
      ...job.what === "memory" ? { TF_GPU_ALLOCATOR: "cuda_malloc_async" } : {},
      ...job.programs === undefined
        ? {}
        : { TF_XLA_FLAGS: `--tf_xla_persistent_cache_directory=${resolve(out, job.programs)}` },
      ...job.what === "kernels" ? { CUDA_INJECTION64_PATH: counter ?? "" } : {},
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  endAfter(process, seconds());
  const next = lineReader(process.stdout);
  const said = new Response(process.stderr).text();
  const answer = async (): Promise<string | undefined> => {
    for (;;) {
      const line = await next();
      if (line === undefined || line.startsWith("{")) return line;
    }
  };
  const first = answer().then((line) => line === undefined ? undefined : JSON.parse(line).first as number);
  return {
    first,
    measure: async () => {
      let line: string | undefined;
      if (await first !== undefined) {
        await tell(process, "\n");
        line = await answer();
      } else await tell(process, "");
      await process.status;
      await Deno.writeTextFile(`${out}/ours-${name}.log`, await said);
      if (line === undefined) {
        note((await said).trim().split("\n").slice(-8).join("\n"));
        return { job, failed: "no answer" };
      }
      return { job, answer: { ...JSON.parse(line), planned: dump ? await plannedBytes(folder) : undefined } };
    },
  };
}

/** Writes to a process, which may have ended. */
async function tell(process: Deno.ChildProcess, text: string): Promise<void> {
  const writer = process.stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch {
    // Then it has no answer, which is what is told of it.
  }
}

/**
 * Measures PyTorch's steps in one process, and where it ends before the last, those after that one in another.
 *
 * @param list The steps
 * @param place See {@linkcode Place}
 */
export async function torch(list: readonly CardJob[], place: Place): Promise<readonly Row[]> {
  const { python, note, seconds } = place;
  if (list.length === 0) return [];
  const described = await Promise.all(list.map(async (job) => {
    const { family, config } = await openModel(job.model);
    return { ...job, family, config };
  }));
  let process: Deno.ChildProcess;
  try {
    process = new Deno.Command(python, {
      args: [here("torch_cuda.py")],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    return list.map((job) => ({ job, failed: `${python} does not start: ${firstLine(error)}` }));
  }
  endAfter(process, seconds());
  const output = process.output();
  await tell(process, JSON.stringify(described));
  const { success, stdout, stderr } = await output;
  const rows = rowsOf(list, new TextDecoder().decode(stdout));
  if (!success || rows.length < list.length) {
    note(new TextDecoder().decode(stderr).trim().split("\n").slice(-8).join("\n"));
  }
  if (rows.length === list.length) return rows;
  const rest = seconds() > 0 ? await torch(list.slice(rows.length + 1), place) : [];
  return [...rows, { job: list[rows.length], failed: "no answer" }, ...rest];
}

/**
 * What a process said of some steps: an answer a line, of the first ones.
 *
 * @param list The steps
 * @param said What it said
 */
export function rowsOf(list: readonly CardJob[], said: string): readonly Row[] {
  const lines = said.split("\n").filter((line) => /^\{.*\}$/.test(line)).slice(0, list.length);
  return lines.map((line, i): Row => {
    const { failed, ...answer } = JSON.parse(line);
    return failed === undefined ? { job: list[i], answer } : { job: list[i], failed };
  });
}
