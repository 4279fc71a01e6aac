/**
 * A conversation: what was said before goes along with every question, by the model's own chat template.
 *
 * @module
 */
import { OneloraError } from "../../dsl/error.ts";
import { fold, key } from "../../dsl/random.ts";
import { asLanguageModel, type ChatMessage, type Model, openChatTemplate } from "../../models/mod.ts";
import { openGeneration } from "../../models/companions/generation.ts";
import { openDecoder } from "../../models/llama/decoder.ts";
import { goOn } from "../../models/llama/generate.ts";
import { settledText } from "../../models/llama/tokenizer.ts";
import type { Made, Terminal, TrainedModel } from "../trainer/prediction.ts";
import { type ContinueSettings, generationOf } from "./continuation.ts";
import { tokenizerOf } from "./questions.ts";

/** What is a command instead of something said. */
const COMMANDS: Readonly<Record<string, string>> = {
  "/reset": "forgets what was said",
  "/quit": "ends the conversation",
};

/** What a conversation takes besides its model. */
export type ConverseSettings = Omit<ContinueSettings, "prompt" | "chat"> & { readonly seed: number };

/**
 * Talks, line by line, until the input ends or `/quit`. `/reset` forgets; other lines that begin with a slash are refused in a
 * note, so that a command that there is not is not said to the model. An answer that its signal ends is kept as far as it came.
 * Where a conversation and an answer are longer than the model reads, the oldest exchanges are forgotten, with a note.
 *
 * @param described The model
 * @param open Opens it, once all else has proved usable
 * @param settings How answers are made
 * @param terminal Who one talks with
 */
export async function converse(
  described: Model,
  open: () => Promise<TrainedModel>,
  { seed, precision, ...given }: ConverseSettings,
  { lines, write, note, answering }: Terminal,
): Promise<Made> {
  asLanguageModel(described, described.layer);
  const { folder, name, config } = described;
  if (folder === undefined) {
    const problem = {
      attempted: "opening a tokenizer",
      found: `the preset ${name}`,
      allowed: "a folder with tokenizer.json",
    };
    throw new OneloraError(problem, { exitCode: 2 });
  }
  const tokenizer = await tokenizerOf(described);
  const template = await openChatTemplate(folder);
  const { defaults, notes } = await openGeneration(folder, config);
  const positions = Number(config.max_position_embeddings ?? Infinity);
  const encode = (messages: readonly ChatMessage[]) => [...tokenizer.encode(template(messages), { special: false })];
  const lengthOf = (ids: readonly number[]) => generationOf(defaults, ids, given).maxTokens;
  const { model, layer, params } = await open();
  const decoder = openDecoder(asLanguageModel(model, layer), params, { precision });
  notes.forEach(note);
  let said: readonly ChatMessage[] = [];
  let [turns, count, seconds] = [0, 0, 0];

  /** The conversation as far as there is room for it and an answer. */
  const fitting = (): number[] => {
    let ids = encode(said);
    while (ids.length + lengthOf(ids) > positions && said.length > 2) {
      said = said.slice(2);
      note(`the oldest exchange is forgotten: the model reads ${positions} tokens`);
      ids = encode(said);
    }
    return ids;
  };

  const answer = async (): Promise<string> => {
    const ids = fitting();
    const before = tokenizer.decode(ids).length;
    let printed = before;
    const print = (whole: string) => {
      write(whole.slice(printed));
      printed = Math.max(printed, whole.length);
    };
    const settings = { ...generationOf(defaults, ids, given), end: tokenizer.ends };
    const own = turns === 0 ? key(seed) : fold(key(seed), "turn", turns);
    using interrupt = await answering();
    const began = performance.now();
    for await (const [token] of goOn(decoder, [ids], { ...settings, key: own })) {
      ids.push(token!);
      count++;
      print(settledText(tokenizer, ids));
      if (interrupt.signal.aborted) break;
    }
    const whole = tokenizer.decode(ids);
    print(`${whole}\n`);
    seconds += (performance.now() - began) / 1000;
    return whole.slice(before);
  };

  try {
    for await (const line of lines) {
      const text = line.trim();
      if (text === "") continue;
      if (text === "/quit") break;
      if (text === "/reset") {
        said = [];
        note("forgotten");
      } else if (/^\/\w+$/.test(text)) {
        note(
          `no command ${text}: ${Object.entries(COMMANDS).map(([command, does]) => `${command} ${does}`).join(", ")}`,
        );
      } else {
        said = [...said, { role: "user", content: text }];
        said = [...said, { role: "assistant", content: await answer() }];
        turns++;
      }
    }
  } finally {
    decoder.dispose();
  }
  const speed = seconds === 0 ? "" : `, ${(count / seconds).toPrecision(3)} a second`;
  return { said: `${turns} answers, ${count} tokens${speed}`, data: { messages: said, tokens: count, seconds } };
}
