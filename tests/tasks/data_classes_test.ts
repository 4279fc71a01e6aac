import { assertEquals } from "@std/assert";
import { matchClasses } from "../../tasks/data/classes.ts";

const indices = (model: readonly string[], data: readonly string[]) => [...matchClasses(model, data).indices];

Deno.test("classes are the same by name, whatever their order; case, underscores and composed letters do not count", () => {
  assertEquals(matchClasses(["dog", "cat"], ["cat", "dog"]), { indices: Int32Array.of(1, 0), by: "name" });
  assertEquals(indices(["dog", "cat", "emu"], ["emu"]), [2]);
  assertEquals(indices(["Great Dane", "caf\u00e9-au-lait"], ["cafe\u0301_au_lait", "great_dane"]), [1, 0]);
  assertEquals(indices(["dog", "cat"], ["cat", "owl"]), [1, -1]);
});

Deno.test("a name among synonyms is that class; what could be two classes is none, nor are two that are one", () => {
  const model = ["tench, Tinca tinca", "tabby, tabby cat", "crane", "crane", "cat"];
  assertEquals(indices(model, ["tabby_cat", "Tinca tinca"]), [1, 0]);
  assertEquals(indices(model, ["tabby, tabby cat", "cat", "tench"]), [1, 4, 0]);
  assertEquals(indices(model, ["crane"]), [-1]);
  assertEquals(indices(model, model), [0, 1, 2, 3, 4]);
  assertEquals(indices(["Cat", "cat"], ["cat", "Cat", "CAT"]), [1, 0, -1]);
  assertEquals(indices(["cat", "dog"], ["Cat", "CAT", "dog"]), [-1, -1, 1]);
});

Deno.test("classes without names are compared by number, and that is said", () => {
  const nameless = (count: number) => Array.from({ length: count }, (_, i) => `LABEL_${i}`);
  const folders = ["0", "1", "10", "2", "3", "4", "5", "6", "7", "8", "9"];
  const numbered = matchClasses(nameless(11), folders);
  assertEquals([...numbered.indices], [0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9]);
  assertEquals([numbered.by, numbered.note], ["number", 'classes compared by number: LABEL_0 is "0", LABEL_9 is "9"']);
  assertEquals(indices(nameless(3), ["2", "0"]), [2, 0]);
  assertEquals(indices(nameless(3), ["a", "b", "c"]), [0, 1, 2]);
  assertEquals(indices(nameless(3), ["a", "b"]), [-1, -1]);
  assertEquals(indices(nameless(3), ["1", "2", "3"]), [-1, -1, -1]);
  assertEquals(indices(nameless(2), ["LABEL_1", "LABEL_0"]), [1, 0]);
  assertEquals(matchClasses(["a", "b"], ["0", "1"]).by, "number");
  assertEquals(indices(["a", "b", "c"], ["0", "1"]), [-1, -1]);
  assertEquals(indices(["zero", "1"], ["1", "0"]), [1, 0]);
});

Deno.test("ImageNet's folders are in the order of its classes", () => {
  const [model, data] = ["class", "n0000"].map((start) =>
    Array.from({ length: 1000 }, (_, i) => `${start}${`${i}`.padStart(4, "0")}`)
  );
  assertEquals(indices(model, data), Array.from({ length: 1000 }, (_, i) => i));
  assertEquals(indices(model.slice(1), data.slice(1))[0], -1);
});
