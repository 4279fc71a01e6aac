/**
 * Going on with a text, as it comes.
 *
 * @module
 */
import { key, OneloraError, printable } from "../../../dsl/mod.ts";
import { asLanguageModel, generate, type Model, openTokenizer, settledText } from "../../../models/mod.ts";
import { encodeOpen, type OpenedModel } from "../../../tasks/mod.ts";

/** How a text is continued. */
export interface TextOptions {
  /** Text to go on with. */
  readonly prompt: string;
  /** Most tokens to add. */
  readonly maxTokens: number;
  /** The logits' divisor; 0 takes the likeliest token. */
  readonly temperature: number;
  /** Sample among the likeliest tokens of this probability together. */
  readonly topP: number;
  /** Seed of the sampling. */
  readonly seed: number;
}

/** Ids after which a text ends: the configuration's, and the tokenizer's. */
function endIds(configured: unknown, end: number | undefined): readonly number[] {
  return [configured, end].flat().filter((id) => typeof id === "number");
}

/**
 * Prints how a text goes on, and on stderr how fast.
 *
 * @param described The model's description, whose folder has a tokenizer
 * @param open Opens it, once all else has proved usable
 * @param options See {@linkcode TextOptions}
 * @returns What to say of the work, e.g. `20 tokens, 31.2 a second`
 * @throws OneloraError for a model without a tokenizer
 */
export async function continueText(
  described: Model,
  open: () => Promise<OpenedModel>,
  { prompt, maxTokens, temperature, topP, seed }: TextOptions,
): Promise<string> {
  asLanguageModel(described, described.layer);
  const { folder, name } = described;
  if (folder === undefined) {
    const allowed = "a folder with tokenizer.json";
    throw new OneloraError({ attempted: "opening a tokenizer", found: `the preset ${name}`, allowed }, {
      exitCode: 2,
    });
  }
  const tokenizer = await openTokenizer(folder);
  const { model, layer, params } = await open();
  const ids = [...encodeOpen(tokenizer, prompt)];
  const end = endIds(model.config.eos_token_id, tokenizer.end);

  const output = new TextEncoder();
  let printed = tokenizer.decode(ids).length;
  const print = (whole: string) => {
    // A vocabulary may hold anything; into a file it goes as it is.
    const more = whole.slice(printed);
    const shown = Deno.stdout.isTerminal()
      ? more.split("\n").map((line) => printable(line, Infinity)).join("\n")
      : more;
    for (let rest = output.encode(shown); rest.length > 0;) {
      rest = rest.subarray(Deno.stdout.writeSync(rest));
    }
    printed = Math.max(printed, whole.length);
  };
  const began = performance.now();
  let count = 0;
  const settings = { maxTokens, temperature, topP, end, key: key(seed) };
  for await (const [token] of generate(asLanguageModel(model, layer), params, [ids], settings)) {
    ids.push(token!);
    count++;
    print(settledText(tokenizer, ids));
  }
  print(`${tokenizer.decode(ids)}\n`);
  const seconds = (performance.now() - began) / 1000;
  return `${count} tokens, ${(count / seconds).toPrecision(3)} a second`;
}
