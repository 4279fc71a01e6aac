/**
 * Runs notebooks without Jupyter: their cells in order, in one process, with what they show caught as a kernel shows it.
 *
 *     deno run -P=test --lock=on_demand.lock --frozen --unstable-npm-lazy-caching scripts/tools/notebook.ts docs/notebooks/NAME.ipynb ...
 *
 * writes the outputs into the files.
 *
 * @module
 */
import { writeWhole } from "../../dsl/files/write.ts";

/** What a cell has shown. */
export type Output =
  | { readonly output_type: "stream"; readonly name: "stdout"; readonly text: readonly string[] }
  | {
    readonly output_type: "display_data";
    readonly data: Readonly<Record<string, unknown>>;
    readonly metadata: Readonly<Record<string, never>>;
  };

interface Cell {
  readonly cell_type: string;
  readonly source: readonly string[];
  readonly outputs?: readonly Output[];
  readonly execution_count?: number | null;
}

/** A notebook's file. */
export interface Notebook {
  /** Its cells. */
  readonly cells: readonly Cell[];
}

/** Lines as the format has them: each with its end. */
const lined = (text: string) => text.split(/(?<=\n)/);

/** What `Deno.jupyter` has that notebooks here use; every part is data by its media type. */
function kernel(show: (output: Output) => void) {
  const joined = (parts: TemplateStringsArray, values: readonly unknown[]) =>
    String.raw({ raw: parts }, ...values.map(String));
  const of = (type: string) => (parts: TemplateStringsArray, ...values: readonly unknown[]) => ({
    [type]: joined(parts, values),
  });
  return {
    svg: of("image/svg+xml"),
    md: of("text/markdown"),
    html: of("text/html"),
    image: (bytes: Uint8Array) => ({ "image/png": bytes.toBase64() }),
    display: (data: Readonly<Record<string, unknown>>) => {
      show({ output_type: "display_data", data, metadata: {} });
      return Promise.resolve();
    },
  };
}

let runs = 0;

/**
 * Runs a notebook's cells.
 *
 * @param notebook The notebook
 * @returns What each of its code cells has shown
 */
export async function runNotebook({ cells }: Notebook): Promise<readonly (readonly Output[])[]> {
  const codes = cells.filter(({ cell_type }) => cell_type === "code");
  const outputs: Output[][] = codes.map(() => []);
  let at = -1;
  const { log } = console;
  const shown = {
    begin: (cell: number) => void (at = cell),
    jupyter: kernel((output) => outputs[at].push(output)),
  };
  const name = `notebook${runs++}`;
  Object.defineProperty(globalThis, name, { value: shown, configurable: true });
  // Imports are taken up first, as a module's are; the kernel's own object cannot be put in its place, so its name is.
  const module = codes.map(({ source }, i) =>
    `${name}.begin(${i});\n${source.join("").replaceAll("Deno.jupyter", `${name}.jupyter`)}`
  );
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  console.log = (...parts: unknown[]) => {
    const text = `${parts.map((part) => typeof part === "string" ? part : Deno.inspect(part)).join(" ")}\n`;
    outputs[at].push({ output_type: "stream", name: "stdout", text: lined(text) });
  };
  try {
    await Deno.writeTextFile(file, `// deno-lint-ignore-file\ndeclare const ${name}: any;\n${module.join("\n")}`);
    await import(`file://${file}`);
  } finally {
    console.log = log;
    await Deno.remove(file);
  }
  return outputs.map(united);
}

/** Texts that follow each other as one. */
function united(outputs: readonly Output[]): readonly Output[] {
  return outputs.reduce<readonly Output[]>((all, next) => {
    const last = all.at(-1);
    if (last?.output_type !== "stream" || next.output_type !== "stream") return [...all, next];
    return [...all.slice(0, -1), { ...last, text: [...last.text, ...next.text] }];
  }, []);
}

/** Text values as lines, as Jupyter writes them. */
function stored(output: Output): Output {
  if (output.output_type === "stream") return output;
  const data = Object.entries(output.data).map(([type, value]) =>
    [type, typeof value === "string" && type !== "image/png" ? lined(value) : value] as const
  );
  return { ...output, data: Object.fromEntries(data) };
}

if (import.meta.main) {
  for (const path of Deno.args) {
    const notebook: Notebook = JSON.parse(await Deno.readTextFile(path));
    const outputs = await runNotebook(notebook);
    let code = 0;
    const cells = notebook.cells.map((cell) =>
      cell.cell_type === "code" ? { ...cell, execution_count: code + 1, outputs: outputs[code++].map(stored) } : cell
    );
    await writeWhole(path, `${JSON.stringify({ ...notebook, cells }, null, 1)}\n`);
    console.log(`${path}: ${code} cells`);
  }
}
