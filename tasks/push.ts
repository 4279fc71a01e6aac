/**
 * An adapter, its page and its notes as a commit for Hugging Face's hub.
 *
 * @module
 */
import { basename } from "../dsl/files/path.ts";
import { OneloraError } from "../dsl/error.ts";
import { objectIfThere } from "../dsl/files/if_there.ts";
import { guarded } from "../dsl/files/file.ts";
import { isObject } from "../dsl/files/json.ts";
import type { Tree } from "../dsl/tree.ts";
import { type PushedCommit, repositoryName, type SentFile } from "../models/hub/push.ts";
import { parseHubName, presetNames } from "../models/mod.ts";
import { taskKinds } from "./kinds.ts";
import { adapterFolder } from "./place.ts";
import { type CardFacts, cardMetadata, cardText, type RunFacts } from "./report/model_card.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Options of {@linkcode adapterCommit}. */
export interface CommitOptions {
  /** `ORG/NAME` of the repository. */
  readonly to: string;
  /** The base model on the hub, `ORG/NAME`, where the adapter names a folder of this machine. */
  readonly base?: string;
  /** The commit's message. */
  readonly title?: string;
  /** Whether a repository that is made for it is private. */
  readonly isPrivate?: boolean;
}

/** The base model as others can find it. */
function baseOf(attempted: string, recorded: unknown, given: string | undefined): CardFacts["base"] {
  const named = given === undefined ? recorded : `hf:${repositoryName(given)}`;
  if (typeof named !== "string" || named === "") {
    throw new OneloraError({ attempted, found: "an adapter that names no base model", allowed: "`base: ORG/NAME`" }, {
      exitCode: 2,
    });
  }
  const parsed = parseHubName(named) ??
    (/^[\w][\w.-]*\/[\w.-]+$/.test(named) ? parseHubName(`hf:${named}`) : undefined);
  if (parsed !== undefined && parsed.path === "") {
    const revision = parsed.revision === "main" ? undefined : parsed.revision;
    return { name: parsed.repository, revision, isOnHub: true };
  }
  if (presetNames.includes(named)) return { name: named, isOnHub: false };
  throw new OneloraError({
    attempted,
    found: `the base model "${named}", a folder of one machine`,
    allowed: "`base: ORG/NAME` of the hub",
  }, {
    exitCode: 2,
  });
}

/** A data set's name without the folders of a machine: `images:/home/me/cats` is `images:cats`. */
function publicName(data: string): string {
  return data.split(",").map((each) => {
    const [kind, ...path] = each.split(":");
    return path.length === 0 ? basename(kind) : `${kind}:${basename(path.join(":"))}`;
  }).join(",");
}

/** Settings that say nothing of the method's result to others, or name places of this machine. */
const LOCAL = ["task", "model", "data", "adapter", "backend", "workers", "from", "validation-file"];

function isNumbers(value: unknown): value is Tree<number> {
  return isObject(value) && Object.values(value).every((each) => typeof each === "number");
}

/** What the run tells in whose folder the adapter lies. */
async function runOf(folder: string): Promise<{ readonly facts: RunFacts; readonly task: unknown } | undefined> {
  const run = `${folder}/..`;
  const files: readonly (Fields | undefined)[] = await Promise.all(
    ["config.json", "summary.json", "data.json"].map((name) => objectIfThere(`${run}/${name}`)),
  );
  const [config, summary, record] = files;
  if (config === undefined || summary === undefined || record === undefined) return undefined;
  const { parameters, metrics, steps, versions } = summary;
  const { examples, classes } = record;
  if (!isNumbers(parameters) || !isNumbers(metrics) || !isNumbers(examples) || typeof config.data !== "string") {
    return undefined;
  }
  const facts: RunFacts = {
    data: publicName(config.data),
    examples,
    ...Array.isArray(classes) && { classes: classes.map(String) },
    parameters: parameters as unknown as RunFacts["parameters"],
    steps: Number(steps),
    metrics,
    settings: Object.fromEntries(Object.entries(config).filter(([name]) => !LOCAL.includes(name))),
    ...isObject(versions) && { version: `${(versions as Fields).onelora}` },
  };
  return { facts, task: config.task };
}

/** What this package wrote into the file of tensors, if it did. */
async function specIn(folder: string): Promise<Fields> {
  const { openTensors } = await import("../adapters/exchange/tensors.ts");
  await using file = await openTensors(folder, undefined);
  try {
    const found: unknown = JSON.parse(file.metadata.onelora ?? "{}");
    return isObject(found) ? found as Fields : {};
  } catch {
    return {};
  }
}

function textFile(path: string, text: string): SentFile {
  return { path, bytes: new TextEncoder().encode(text) };
}

/**
 * The commit that puts an adapter on the hub: its two files, the base model named so that others find it, and a page.
 *
 * @param adapter The adapter's folder, or its run's
 * @param options See {@linkcode CommitOptions}
 * @throws OneloraError for a folder without an adapter, and a base model that only this machine has
 */
export async function adapterCommit(
  adapter: string,
  { to, base: given, title, isPrivate }: CommitOptions,
): Promise<PushedCommit> {
  const repository = repositoryName(to);
  const folder = await adapterFolder(adapter);
  const attempted = `pushing ${folder}`;
  const config = await objectIfThere(`${folder}/adapter_config.json`);
  const weights = `${folder}/adapter_model.safetensors`;
  if (config === undefined || !await Deno.stat(weights).then(({ isFile }) => isFile, () => false)) {
    const allowed = "an adapter's or a run's folder, with adapter_config.json and adapter_model.safetensors";
    throw new OneloraError({ attempted, found: "no adapter there", allowed }, { exitCode: 2 });
  }
  const base = baseOf(attempted, config.base_model_name_or_path, given);
  const notes = await objectIfThere(`${folder}/onelora.json`);
  const run = await runOf(folder);
  const spec = await specIn(folder);
  const taskName = run?.task ?? notes?.task;
  const kind = typeof taskName === "string" && Object.hasOwn(taskKinds, taskName) ? taskKinds[taskName] : undefined;
  const number = (value: unknown) => typeof value === "number" ? value : undefined;
  const isPeft = config.peft_type !== "ONELORA";
  const facts: CardFacts = {
    repository,
    base,
    method: typeof spec.adapter === "string" ? spec.adapter : `${config.adapter ?? config.peft_type}`.toLowerCase(),
    rank: number(spec.rank) ?? number(config.r) ?? number(config.rank),
    alpha: number(spec.alpha) ?? number(config.lora_alpha) ?? number(config.alpha),
    ...isPeft && { peftType: `${config.peft_type}` },
    ...kind && { task: { name: kind.name, ...kind.hub } },
    run: run?.facts,
  };
  // Loaded here: nothing else in the tasks writes it.
  const { stringify } = await import("yaml");
  const page = `---\n${stringify(cardMetadata(facts))}---\n\n${cardText(facts)}`;
  const published = {
    ...config,
    base_model_name_or_path: base.name,
    ...isPeft && base.revision !== undefined && { revision: base.revision },
  };
  const sorted = Object.fromEntries(Object.entries(published).sort(([a], [b]) => a < b ? -1 : 1));
  const bytes = await guarded(`reading ${weights}`, "the adapter's tensors", () => Deno.readFile(weights));
  return {
    repository,
    title: title ?? `Adapter ${facts.method} of ${base.name}`,
    isPrivate,
    files: [
      textFile("README.md", page),
      textFile("adapter_config.json", `${JSON.stringify(sorted, null, 2)}\n`),
      { path: "adapter_model.safetensors", bytes },
      ...notes === undefined ? [] : [textFile("onelora.json", `${JSON.stringify(notes, null, 2)}\n`)],
    ],
  };
}
