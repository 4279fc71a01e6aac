/**
 * An adapter's page on Hugging Face's hub: what was trained, on what, how well, and how it is loaded.
 *
 * @module
 */
import type { Tree } from "../../dsl/tree.ts";
import { plain, row } from "./markdown_table.ts";

/** What a page says. */
export interface CardFacts {
  /** `ORG/NAME` of its repository. */
  readonly repository: string;
  /** The base model, by its name on the hub or as a preset. */
  readonly base: { readonly name: string; readonly revision?: string; readonly isOnHub: boolean };
  /** The method and its settings, as `--adapter` takes it. */
  readonly method: string;
  /** Rank and alpha where they are given. */
  readonly rank?: number;
  /** See rank. */
  readonly alpha?: number;
  /** `peft_type` of the files, if PEFT reads them. */
  readonly peftType?: string;
  /** The task, in words, and what the hub and Python call it. */
  readonly task?: { readonly name: string; readonly pipeline?: string; readonly python?: string };
  /** The run that trained it, if its folder is there. */
  readonly run?: RunFacts;
}

/** What a run's folder tells of it. */
export interface RunFacts {
  /** The data's name, without folders of a machine. */
  readonly data: string;
  /** Examples by part. */
  readonly examples: Readonly<Record<string, number>>;
  /** Names of the classes. */
  readonly classes?: readonly string[];
  /** Numbers of parameters. */
  readonly parameters: { readonly adapter: number; readonly head: number; readonly total: number };
  /** Steps. */
  readonly steps: number;
  /** Metrics of the test data. */
  readonly metrics: Tree<number>;
  /** Settings by name. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Version of this package. */
  readonly version?: string;
}

const count = (number: number) => number.toLocaleString("en-US");
const shown = (value: number) => Number.isInteger(value) ? `${value}` : value.toPrecision(5);

function table(head: readonly [string, string], rows: readonly (readonly [string, unknown])[]): string {
  return [row(head), row(["---", "---"]), ...rows.map((cells) => row(cells.map((cell) => plain(`${cell}`))))].join(
    "\n",
  );
}

/**
 * What stands between the lines of dashes, for the hub.
 *
 * @param facts What the page says
 */
export function cardMetadata({ repository, base, method, peftType, task, run }: CardFacts): object {
  const name = repository.slice(repository.indexOf("/") + 1);
  const methods = method.split("+").map((each) => each.split(":")[0]);
  const results = run && task?.pipeline !== undefined && Object.keys(run.metrics).length > 0
    ? [{
      name,
      results: [{
        task: { type: task.pipeline },
        dataset: { name: run.data, type: run.data },
        metrics: Object.entries(run.metrics).filter(([metric]) => metric !== "count")
          .map(([type, value]) => ({ type, value: Number(shown(value)) })),
      }],
    }]
    : undefined;
  return {
    ...base.isOnHub && { base_model: base.name, base_model_relation: "adapter" },
    library_name: peftType === undefined ? "onelora" : "peft",
    ...task?.pipeline !== undefined && { pipeline_tag: task.pipeline },
    tags: ["onelora", ...methods],
    ...results && { "model-index": results },
  };
}

/** How the base model is opened in Python, and the adapter on it. */
function python({ repository, base, task, run }: CardFacts): string {
  const [library, type] = task?.python?.split(".") ?? ["transformers", "AutoModel"];
  const name = base.isOnHub ? base.name : `FOLDER OF ${base.name}`;
  const revision = base.revision === undefined ? "" : `, revision="${base.revision}"`;
  const labels = run?.classes === undefined || type !== "AutoModelForImageClassification"
    ? ""
    : `, num_labels=${run.classes.length}, ignore_mismatched_sizes=True`;
  return `from peft import PeftModel
from ${library} import ${type}

base = ${type}.from_pretrained("${name}"${revision}${labels})
model = PeftModel.from_pretrained(base, "${repository}").eval()`;
}

/** The same here. */
function typescript({ repository, base }: CardFacts): string {
  const revision = base.revision === undefined ? "" : `@${base.revision}`;
  return `import { load } from "jsr:@onelora/onelora";

// A copy of this repository: hf download ${repository} --local-dir adapter
using model = await load("adapter", { model: "${base.isOnHub ? "hf:" : ""}${base.name}${revision}" });
console.log(await model.predict(input));`;
}

/**
 * The page's text, below its metadata.
 *
 * @param facts What it says
 */
export function cardText(facts: CardFacts): string {
  const { repository, base, method, rank, alpha, peftType, task, run } = facts;
  const link = base.isOnHub ? `[${base.name}](https://huggingface.co/${base.name})` : `\`${base.name}\` of onelora`;
  const trained = run && `It trains ${count(run.parameters.adapter)} of ${count(run.parameters.total)} parameters` +
      `${run.parameters.head > 0 ? `, beside ${count(run.parameters.head)} of the head` : ""}.`;
  const settings = run === undefined
    ? []
    : Object.entries(run.settings).filter(([, value]) => value !== undefined && typeof value !== "object");
  const examples = run && Object.entries(run.examples).map(([part, number]) => `${count(number)} ${part}`).join(", ");
  return [
    `# ${repository.slice(repository.indexOf("/") + 1)}`,
    [
      `An adapter of ${link}${task === undefined ? "" : ` for ${task.name}`}, by the method \`${method}\`` +
      `${rank === undefined ? "" : `, rank ${rank}`}${alpha === undefined ? "" : `, alpha ${alpha}`}.`,
      ...trained === undefined ? [] : [trained],
    ].join(" "),
    ...run === undefined ? [] : [
      "## Data",
      `\`${run.data}\`: ${examples} examples${
        run.classes === undefined
          ? ""
          : `, ${run.classes.length} classes (${run.classes.slice(0, 20).map(plain).join(", ")})`
      }.`,
      `## Results after ${count(run.steps)} steps`,
      table(["metric", "value"], Object.entries(run.metrics).map(([name, value]) => [name, shown(value)])),
      "## Settings",
      table(["setting", "value"], settings),
    ],
    "## In Python",
    peftType === undefined
      ? `PEFT has no such method: load it here, or make a plain model of it by \`deno task merge\`.`
      : `\`\`\`python\n${python(facts)}\n\`\`\``,
    "## In TypeScript",
    `\`\`\`ts\n${typescript(facts)}\n\`\`\``,
    `Made with [onelora](https://jsr.io/@onelora/onelora)${run?.version === undefined ? "" : ` ${run.version}`}.`,
  ].join("\n\n") + "\n";
}
