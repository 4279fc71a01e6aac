/**
 * What engines can do at most: matrix products, calls of operations, memory traffic.
 *
 * @module
 */
import type { BackendName, Precision } from "../../../dsl/mod.ts";
import { engineKind } from "../../../dsl/engine/kinds.ts";
import { OneloraError } from "../../../dsl/error.ts";
import { measure, measureTorch } from "./process.ts";
import type { ProductAnswer, ProductJob, ProductShape } from "./products.ts";
import { type Spread, spread } from "./statistics.ts";

/** What an engine does. */
export interface EngineResult {
  /** The engine: a backend, or `pytorch`. */
  readonly name: string;
  /** What computed, in words. */
  readonly engine: string;
  /** Precision of its products. */
  readonly precision: Precision;
  /** Speed of products, [n, k] by [k, m]. */
  readonly products: readonly {
    readonly shape: ProductShape;
    /** 10^9 floating-point operations in a second. */
    readonly gigaflops: Spread;
    /** Of the machine's peak at this precision: the fastest product of this run. */
    readonly share: number;
  }[];
  /** Seconds of an operation on two numbers. */
  readonly operationSeconds?: Spread;
  /** 10^9 bytes read and written in a second by adding one number to many. */
  readonly gigabytes?: Spread;
}

/** Small products: a square one, and one of vit-micro. */
const SMALL: readonly ProductShape[] = [[3200, 96, 384], [512, 512, 512]];

/** A larger square, and what ViT-B/16 needs at batch 10: a projection, into the MLP, out of it. */
const LARGE: readonly ProductShape[] = [[1024, 1024, 1024], [1970, 768, 768], [1970, 768, 3072], [1970, 3072, 768]];

/** What engines.ts is told. */
export interface EngineSettings {
  /** Backends to measure; those that do not work here are noted and left out. */
  readonly backends: readonly BackendName[];
  /** Python with PyTorch, if there is one. */
  readonly python?: string;
  /** Small products only. */
  readonly quick: boolean;
  /** Calls that are timed. */
  readonly repeats: number;
  /** Called for each measurement. */
  readonly note: (line: string) => void;
}

interface Contest {
  readonly name: string;
  readonly precision: Precision;
  readonly answer: (job: Omit<ProductJob, "backend">) => Promise<ProductAnswer>;
}

/** Measures every engine, each in a process of its own. */
export async function measureEngines(settings: EngineSettings): Promise<readonly EngineResult[]> {
  const { backends, python, quick, repeats, note } = settings;
  const contests: readonly Contest[] = [
    ...backends.flatMap((backend) =>
      // What f16 keeps are a step's weights; there is no product of its own.
      engineKind(backend).precisions.filter((each) => each !== "f16").map((precision): Contest => ({
        name: backend,
        precision,
        answer: (job) => measure("products", { ...job, backend }),
      }))
    ),
    ...(python === undefined ? [] : ["float32", "bf16"] as const).map((precision): Contest => ({
      name: "pytorch",
      precision,
      answer: (job) => measureTorch(python!, job),
    })),
  ];
  const found: { readonly contest: Contest; readonly answer: ProductAnswer }[] = [];
  for (const contest of contests) {
    const { name, precision, answer } = contest;
    try {
      const shapes = quick ? SMALL : [...SMALL, ...LARGE];
      found.push({ contest, answer: await answer({ kind: "product", shapes, precision, repeats }) });
      note(`${name}, ${precision}: measured`);
    } catch (error) {
      if (!(error instanceof OneloraError)) throw error;
      note(`${name}, ${precision}: ${error.problem.found}`);
    }
  }
  const speeds = found.map(({ answer: { products } }) =>
    products.map(({ shape, seconds }) => {
      const work = 2 * shape[0] * shape[1] * shape[2] / 1e9;
      return { shape, gigaflops: spread(seconds.map((each) => work / each)) };
    })
  );
  const peakOf = (precision: Precision) =>
    Math.max(
      ...speeds.flatMap((products, i) =>
        found[i].contest.precision === precision ? products.map(({ gigaflops }) => gigaflops.most) : []
      ),
    );
  return found.map(({ contest: { name, precision }, answer }, i): EngineResult => ({
    name,
    engine: answer.engine,
    precision,
    products: speeds[i].map((each) => ({ ...each, share: each.gigaflops.median / peakOf(precision) })),
    operationSeconds: answer.operationSeconds && spread(answer.operationSeconds),
    gigabytes: answer.bytesPerSecond && spread(answer.bytesPerSecond.map((bytes) => bytes / 1e9)),
  }));
}
