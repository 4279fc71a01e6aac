/**
 * Your own examples, in memory: gathered, checked, and told apart.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { builtinIfThere } from "../../dsl/host.ts";
import type { Examples } from "../data/own.ts";
import { taskKinds, type TaskName } from "../kinds.ts";
import type { TaskKind } from "../trainer/task.ts";
import type { FineTuneOptions } from "./options.ts";

/** What a run's settings call data of one's own. */
export const OWN = "own";

/** Examples of one's own, all of them. */
export interface Own {
  readonly train: readonly object[];
  readonly test?: readonly object[];
}

async function collected(examples: Examples<object> | undefined, name: string): Promise<readonly object[] | undefined> {
  if (examples === undefined) return undefined;
  const all: readonly unknown[] = await Array.fromAsync(examples);
  const strange = all.findIndex((example) => typeof example !== "object" || example === null);
  if (strange < 0) return all as readonly object[];
  throw new OneloraError({
    attempted: `reading example ${strange} of \`${name}\``,
    found: typeof all[strange],
    allowed: Object.values(taskKinds).map(({ exampleForm }) => exampleForm).join(", "),
  }, { exitCode: 2 });
}

/** The examples that were given, if it is not data by name. */
export async function ownExamples(
  { data, test }: Pick<FineTuneOptions<TaskName>, "data" | "test">,
): Promise<Own | undefined> {
  if (data === undefined || typeof data === "string") {
    if (test === undefined) return undefined;
    const found = data === undefined ? "no `data`" : `the data "${data}"`;
    throw new OneloraError({ attempted: "reading `test`", found, allowed: "your own examples in both" }, {
      exitCode: 2,
    });
  }
  return { train: (await collected(data, "data"))!, test: await collected(test, "test") };
}

/** Refuses examples that are not of a task. */
export function checkExamples(kind: TaskKind, own: Own | undefined): void {
  for (const [name, examples] of Object.entries(own ?? {})) {
    const strange = (examples as readonly object[] | undefined)?.findIndex((example) => !kind.takes(example)) ?? -1;
    if (strange < 0) continue;
    throw new OneloraError({
      attempted: `reading example ${strange} of ${name === "train" ? "`data`" : "`test`"}`,
      found: `{ ${Object.keys(examples[strange]).slice(0, 10).join(", ")} }`,
      allowed: `${kind.exampleForm} for ${kind.name}`,
    }, { exitCode: 2 });
  }
}

/** A sum that grows with what it is of. */
interface Sum {
  readonly update: (part: string | Uint8Array<ArrayBuffer>) => Sum;
  readonly hex: () => Promise<string>;
}

/** SHA-256: the runtime's own in Deno, that of a page's platform, which takes all at once, elsewhere. */
function sha256(): Sum {
  const hash = builtinIfThere("node:crypto")?.createHash("sha256");
  const parts: (string | Uint8Array<ArrayBuffer>)[] = [];
  const sum: Sum = {
    update: (part) => {
      if (hash === undefined) parts.push(part);
      else hash.update(part);
      return sum;
    },
    hex: async () => {
      if (hash !== undefined) return hash.digest("hex");
      const digest = await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
      return new Uint8Array(digest).toHex();
    },
  };
  return sum;
}

/** SHA-256 of examples in memory; of files only their paths. */
export async function digestOf(examples: unknown): Promise<string> {
  const sum = sha256();
  const add = (value: unknown): void => {
    if (ArrayBuffer.isView(value)) {
      sum.update(`${value.byteLength} bytes\n`).update(
        new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength),
      );
    } else if (Array.isArray(value)) {
      sum.update(`${value.length} values\n`);
      value.forEach(add);
    } else if (typeof value === "object" && value !== null) {
      // What a picture of the platform has lies behind getters of its prototype.
      const names = ["data", "width", "height", ...Object.keys(value)].filter((name, i, all) =>
        all.indexOf(name) === i
      );
      for (const name of names.sort()) {
        if (name in value) (sum.update(`${name}\n`), add(value[name as keyof typeof value]));
      }
    } else sum.update(`${typeof value} ${value}\n`);
  };
  add(examples);
  return await sum.hex();
}
