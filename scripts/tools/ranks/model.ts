/**
 * How steps scale over more processes than were measured: `deno run --allow-write=docs/scaling.svg
 * scripts/tools/ranks/model.ts docs/scaling.svg` prints the table of RESULTS.md and draws its chart.
 *
 * `T(p) = seconds * share(p) + C(p)`, `C(p) = 8 a ceil(log2 p) + (1 - 1/p) n (2/B + 1/R)`: a latency of a for each round
 * of the allreduce and of the agreement before it, n bytes of gradient twice over a network of B bytes a second, added up
 * at R. Measured: seconds a step (RESULTS.md), R between two processes of one machine. From data sheets: a and B.
 *
 * @module
 */
import { charts, svgFile } from "../../../tasks/report/chart.ts";

/** A network. */
interface Network {
  readonly name: string;
  /** Seconds of a message without content. */
  readonly latency: number;
  /** Bytes a second. */
  readonly bandwidth: number;
}

const ethernet: Network = { name: "Ethernet, 25 Gb/s", latency: 20e-6, bandwidth: 3.1e9 };
const infiniband: Network = { name: "InfiniBand, 200 Gb/s", latency: 2e-6, bandwidth: 24e9 };
/** Bytes a second that are added up. */
const ADDED = 4e9;

/** A method's gradient of ViT-B/16 in bytes, its head of 10 classes included, and a step's seconds: a core's, a card's. */
const methods = [
  { name: "1LoRA", bytes: 332e3, core: 34.85, card: 0.0277 },
  { name: "LoRA", bytes: 664e3, core: 34.85, card: 0.0337 },
  { name: "all", bytes: 343e6, core: 34.85, card: 0.0392 },
] as const;

const processes = [1, 2, 4, 8, 16, 32, 64] as const;
/** Images of a step that cores share out. */
const BATCH = 64;

function communication(p: number, bytes: number, { latency, bandwidth }: Network): number {
  return 8 * latency * Math.ceil(Math.log2(p)) + (1 - 1 / p) * bytes * (2 / bandwidth + 1 / ADDED);
}

type Method = typeof methods[number];

const cases = [
  {
    title: `cores share ${BATCH} images, ${ethernet.name}`,
    efficiency: ({ core, bytes }: Method, p: number) => {
      const time = core * Math.ceil(BATCH / p) / BATCH + communication(p, bytes, ethernet);
      return core / (p * time);
    },
  },
  ...[ethernet, infiniband].map((network) => ({
    title: `each card ${BATCH} images, ${network.name}`,
    efficiency: ({ card, bytes }: Method, p: number) => card / (card + communication(p, bytes, network)),
  })),
];

const percent = (value: number) => `${(100 * value).toFixed(0)} %`;
for (const { title, efficiency } of cases) {
  console.log(`\n${title}\n`);
  console.log(`| method | ${processes.join(" | ")} | 80 % up to |`);
  console.log(`| --- |${" ---: |".repeat(processes.length + 1)}`);
  for (const method of methods) {
    const values = processes.map((p) => efficiency(method, p));
    // Beyond 64 cores a batch of 64 has no share for each; cards go on.
    const last = processes.findLast((_, i) => values[i] >= 0.8);
    console.log(`| ${method.name} | ${values.map(percent).join(" | ")} | ${last === 64 ? "64 and more" : last} |`);
  }
}

const [file] = Deno.args;
if (file !== undefined) {
  const drawn = cases.map(({ title, efficiency }) => ({
    title,
    x: { label: "processes", log: true, format: (value: number) => `${value}` },
    y: { label: "efficiency", domain: [0, 1] as const, format: percent },
    series: methods.map((method) => ({
      name: method.name,
      points: processes.map((p) => [p, efficiency(method, p)] as const),
      marked: true,
    })),
  }));
  Deno.writeTextFileSync(file, svgFile(charts(...drawn)));
}
