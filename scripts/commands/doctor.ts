/**
 * `deno task doctor`: what this machine has, which backends work on it, which one `auto` takes, and how to get a faster
 * one.
 *
 * @module
 */

import * as tf from "@tensorflow/tfjs-core";
import { right } from "fp-ts/Either";
import { cpus } from "node:os";
import { writeNumbers } from "../../dsl/files/json.ts";
import { commandLine } from "../../dsl/command_line.ts";
import { engineKind } from "../../dsl/engine/kinds.ts";
import { missingCuda } from "../../dsl/engine/tensorflow_environment.ts";
import { type Figures, figuresText, measureBackend } from "../../dsl/engine/measure.ts";
import { nativeFolder, rowProductsKernel } from "../../dsl/engine/tensorflow.ts";
import { type Nvidia, nvidia } from "../../dsl/engine/nvidia.ts";
import { findMpi, type MpiLibrary } from "../../dsl/engine/mpi/find.ts";
import { type BackendName, type BackendReport, inspectBackends, useBackend } from "../../dsl/engine/mod.ts";
import { boolean, main } from "../cli/mod.ts";

/** What was found, as `--json` prints it. */
interface Findings {
  /** Version of Deno. */
  readonly deno: string;
  /** Operating system and processor, as the compiler names them: `x86_64-unknown-linux-gnu`. */
  readonly target: string;
  /** The processor; its name is absent where it cannot be read. */
  readonly cpu: { readonly name?: string; readonly cores: number };
  /** Memory in bytes; absent where it cannot be read. */
  readonly memory?: { readonly total: number; readonly available: number };
  /** NVIDIA's cards and their driver, and what of CUDA 12 and cuDNN 9 is not there; absent without a driver. */
  readonly nvidia?: Nvidia & { readonly missing: readonly string[] };
  /** Each backend, and how fast it multiplies matrices, in 10^9 floating-point operations per second. */
  readonly backends: readonly (BackendReport["tried"][number] & {
    readonly gigaflops?: number;
    /** What a product and a small step took. */
    readonly seconds?: Figures;
  })[];
  /** Instructions of the kernel by which tensorflow continues texts on processors, if it is there. */
  readonly rowProducts?: string;
  /** MPI libraries, by which mpirun and srun start training in several processes. */
  readonly mpi: readonly MpiLibrary[];
  /** MPI libraries that are there and cannot be opened, and why. */
  readonly mpiUnusable: readonly string[];
  /** What `auto` takes. */
  readonly chosen: BackendName;
  /** How to get a faster one; empty where there is none. */
  readonly advice: string;
}

/** Rows of the square matrices that a backend multiplies in some milliseconds. */
const sizes: Readonly<Record<BackendName, number>> = { tensorflow: 1024, webgpu: 1024, wasm: 512, cpu: 192 };

/** Speed of a float32 matrix product on the backend in use, best of five, in gigaflops. */
async function matrixSpeed(size: number): Promise<number> {
  const [a, b] = [0, 1].map(() => tf.ones([size, size]));
  const seconds: number[] = [];
  for (let run = 0; run < 5; run++) {
    const began = performance.now();
    // The corner alone is read back, which waits for the whole product.
    const corner = tf.tidy(() => tf.slice(tf.matMul(a, b), [0, 0], [1, 1]));
    await corner.data();
    corner.dispose();
    seconds.push((performance.now() - began) / 1000);
  }
  tf.dispose([a, b]);
  return 2 * size ** 3 / Math.min(...seconds) / 1e9;
}

/** A value that may need a permission which is not there. */
function ifAllowed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Looks at everything. */
async function examine(): Promise<Findings> {
  const report = await inspectBackends();
  const backends = [];
  for (const trial of report.tried) {
    if (trial.works) await useBackend(trial.name);
    backends.push(
      trial.works
        ? { ...trial, gigaflops: await matrixSpeed(sizes[trial.name]), seconds: await measureBackend() }
        : trial,
    );
  }
  const memory = ifAllowed(() => Deno.systemMemoryInfo());
  const cards = nvidia();
  const mpiUnusable: string[] = [];
  return {
    nvidia: cards && { ...cards, missing: missingCuda(nativeFolder()) },
    deno: Deno.version.deno,
    target: Deno.build.target,
    cpu: { name: ifAllowed(() => cpus()[0]?.model), cores: navigator.hardwareConcurrency },
    // Windows tells what is free alone.
    memory: memory && { total: memory.total, available: memory.available || memory.free },
    backends,
    rowProducts: rowProductsKernel()?.instructions,
    mpi: findMpi((why) => void mpiUnusable.push(why)),
    mpiUnusable,
    chosen: report.chosen,
    advice: report.advice,
  };
}

/** The findings in words. */
function inWords(findings: Findings): string {
  const { deno, target, cpu, memory, nvidia, backends, rowProducts, mpi, mpiUnusable, chosen, advice } = findings;
  const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const rows = backends.map(({ name, works, why, gigaflops, seconds }) => {
    const speed = gigaflops === undefined
      ? ""
      : `; ${Number(gigaflops.toPrecision(2))} GFLOP/s; ${figuresText(seconds!)}`;
    return `  ${name.padEnd(12)}${works ? "works" : "no   "}  ${why}${speed}`;
  });
  return [
    `deno        ${deno}, ${target}`,
    `processor   ${[cpu.name, `${cpu.cores} cores`].filter(Boolean).join(", ")}`,
    ...(memory ? [`memory      ${gibibytes(memory.total)}, ${gibibytes(memory.available)} of it available`] : []),
    ...(nvidia?.cards ?? []).map(({ name, memory, used }) =>
      `card        ${name}, ${gibibytes(memory)}, ${gibibytes(memory - used)} of it free, driver ${nvidia!.driver}`
    ),
    ...(nvidia === undefined || nvidia.missing.length === 0
      ? []
      : [`cuda        without ${nvidia.missing.join(", ")}: \`${commandLine("native")} --cuda\` brings them`]),
    "backends    (speed of a large float32 product; what a product of 512 x 512 and a step of six small layers take)",
    ...rows,
    ...(backends.some(({ name, works }) => works && engineKind(name).continued !== undefined)
      ? [
        `texts       continued on processors ${
          rowProducts === undefined
            ? `by TensorFlow's own products; on Linux, \`${commandLine("native")}\` adds a faster kernel`
            : `by a kernel of their own (${rowProducts})`
        }`,
      ]
      : []),
    `mpi         ${
      [...mpi.map(({ version, path }) => `${version} (${path})`), ...mpiUnusable].join(", ") ||
      "none: several processes train with one"
    }`,
    `--backend auto takes ${chosen}: tensorflow where it works, else the faster of webgpu and wasm, else cpu`,
    ...(advice === "" ? [] : [`faster: ${advice}`]),
  ].join("\n");
}

const flags = { json: boolean({ help: "Print the findings as JSON" }) };

await main(
  { name: "doctor", summary: "Which backends work here, and how to get a faster one", flags },
  ({ options }) => async () => {
    const findings = await examine();
    console.log(options.json ? writeNumbers(findings, { indent: 2 }) : inWords(findings));
    return right(undefined);
  },
);
