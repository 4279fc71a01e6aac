/**
 * Examples for people to read, with what is learned of them marked.
 *
 * @module
 */
import type { TextTokenizer } from "../../models/mod.ts";
import { IGNORED_LABEL } from "../reasoning/encode.ts";
import type { EncodedText } from "./encode.ts";

/** Characters of an example that are shown. */
const SHOWN = 1000;

/**
 * An example as text in one line: what is learned of it in «», line ends as \n.
 *
 * @param tokenizer The tokenizer
 * @param example The example
 */
export function previewOf(tokenizer: TextTokenizer, { ids, labels }: EncodedText): string {
  const decode = (from: number, to: number) => tokenizer.decode([...ids.subarray(from, to)], { special: true });
  let text = "";
  for (let from = 0; from < ids.length;) {
    const counts = labels[from] !== IGNORED_LABEL;
    let to = from + 1;
    while (to < ids.length && (labels[to] !== IGNORED_LABEL) === counts) to++;
    // Decoders drop a space at a text's beginning: the whole up to here says what is there.
    const piece = from === 0 ? decode(0, to) : decode(0, to).slice(decode(0, from).length);
    text += counts ? `«${piece}»` : piece;
    from = to;
  }
  const line = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll("\t", "\\t");
  return line.length > SHOWN ? `${line.slice(0, SHOWN / 2)} [...] ${line.slice(-SHOWN / 2)}` : line;
}

/**
 * The first examples, a line each.
 *
 * @param tokenizer The tokenizer
 * @param examples Encoded examples
 * @param count How many
 */
export function previews(tokenizer: TextTokenizer, examples: readonly EncodedText[], count: number): readonly string[] {
  return examples.slice(0, count).map((example, i) => {
    const learned = example.labels.reduce((sum, label) => label === IGNORED_LABEL ? sum : sum + 1, 0);
    return `example ${i + 1}, ${learned} of ${example.ids.length} tokens learned: ${previewOf(tokenizer, example)}`;
  });
}
