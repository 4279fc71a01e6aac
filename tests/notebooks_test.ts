/**
 * The notebooks of docs/ run, cell by cell, and show what is committed with them.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Notebook, type Output, runNotebook } from "../scripts/tools/notebook.ts";

/** What is shown, pictures by their kind alone. */
function shown(outputs: readonly Output[] = []): readonly unknown[] {
  return outputs.map((output) => output.output_type === "stream" ? output.text.join("") : Object.keys(output.data));
}

for (const name of ["adapters-as-functions", "fine-tune-vit-micro"]) {
  Deno.test(`docs/notebooks/${name}.ipynb runs and shows what it holds`, async () => {
    const notebook: Notebook = JSON.parse(await Deno.readTextFile(`docs/notebooks/${name}.ipynb`));
    const found = await runNotebook(notebook);
    const kept = notebook.cells.filter(({ cell_type }) => cell_type === "code");
    assertEquals(found.map(shown), kept.map(({ outputs }) => shown(outputs)));
    const pictures = kept.flatMap(({ outputs = [] }) => outputs).filter(({ output_type }) =>
      output_type === "display_data"
    );
    assert(pictures.length >= 3, "its pictures are committed");
  });
}
