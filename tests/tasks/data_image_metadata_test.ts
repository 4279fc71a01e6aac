import { assertEquals, assertRejects } from "@std/assert";
import { OneloraError } from "../../dsl/error.ts";
import { openImageTree } from "../../tasks/data/image_tree.ts";
import { openImageData } from "../../tasks/data/open.ts";
import { withFolder } from "../support/data_folder.ts";
import { red } from "../support/pictures.ts";

const pictures = Object.fromEntries(["1.png", "2.png", "deep/3.png"].map((name): [string, Uint8Array] => [name, red]));
const within = (part: string, files: Record<string, Uint8Array | string>) =>
  Object.fromEntries(Object.entries(files).map(([name, content]) => [`${part}/${name}`, content]));

Deno.test("metadata beside pictures: one label, several, or columns of 0 and 1", async () => {
  const cases: readonly [string, string, readonly string[], readonly (readonly number[] | number)[]][] = [
    ["metadata.csv", "file_name,label\n1.png,dog\n2.png,cat\ndeep/3.png,dog\n", ["cat", "dog"], [1, 0, 1]],
    ["metadata.csv", '\ufefffile_name,label\r\n1.png,"a, ""b"""\r\n2.png,c\r\ndeep/3.png,c\r\n', ['a, "b"', "c"], [
      0,
      1,
      1,
    ]],
    ["metadata.csv", "labels,file_name\nindoor|night,1.png\n,2.png\nnight,deep/3.png\n", ["indoor", "night"], [
      [0, 1],
      [],
      [1],
    ]],
    ["metadata.csv", "file_name,labels\n1.png,\"['b', 'a']\"\n2.png,[]\ndeep/3.png,\"b, a\"\n", ["a", "b"], [
      [0, 1],
      [],
      [0, 1],
    ]],
    ["metadata.csv", "file_name,night,indoor,note\n1.png,1,0,x\n2.png,0,0,y\ndeep/3.png,1,1,z\n", ["night", "indoor"], [
      [0],
      [],
      [0, 1],
    ]],
    [
      "metadata.jsonl",
      '{"file_name":"1.png","labels":["b","a"]}\n{"file_name":"2.png","labels":[]}\n{"file_name":"deep/3.png","labels":["a"]}',
      ["a", "b"],
      [[0, 1], [], [0]],
    ],
    [
      "metadata.jsonl",
      '{"file_name":"1.png","label":2}\n\n{"file_name":"2.png","label":0}\n{"file_name":"deep/3.png","label":2}\n',
      ["0", "1", "2"],
      [2, 0, 2],
    ],
    [
      "metadata.jsonl",
      '{"file_name":"1.png","labels":[2]}\n{"file_name":"2.png","labels":[0]}\n{"file_name":"deep/3.png","labels":[]}',
      ["0", "1", "2"],
      [[2], [0], []],
    ],
  ];
  for (const [name, text, classes, expected] of cases) {
    await withFolder({
      ...within("train", { ...pictures, [name]: text }),
      ...within("test", { ...pictures, [name]: text }),
    }, async (folder) => {
      const { train, test, notes } = await openImageData(`images:${folder}`);
      const several = Array.isArray(expected[0]);
      assertEquals([train.classes, train.size, test.size, train.multiLabel ?? false], [classes, 3, 3, several], text);
      for (const [i, label] of expected.entries()) {
        const example = await train.get(i);
        assertEquals(several ? example.labels : example.label, label);
      }
      assertEquals(notes, [`left out of ${folder}: 2 that do not end as pictures do (${name}, ${name})`]);
    });
  }
});

Deno.test("metadata around the parts or without parts; pictures without a line are named", async () => {
  const lines = ["train/1.png", "train/2.png", "test/1.png"].map((file, i) =>
    `{"file_name":"${file}","labels":[${i % 2}]}`
  );
  const files = { ...within("train", pictures), ...within("test", pictures) };
  await withFolder({ ...files, "metadata.jsonl": lines.join("\n") }, async (folder) => {
    const { train, test, notes } = await openImageTree(folder);
    assertEquals([train.size, test.size, (await train.get(1)).labels], [2, 1, [1]]);
    assertEquals(notes, [
      `left out of ${folder}: 3 without a line in ${folder}/metadata.jsonl (deep/3.png, 2.png, deep/3.png)`,
    ]);
  });
  const scored = lines.map((line) => line.replace("}", ',"score":NaN}'));
  await withFolder({ ...files, "metadata.jsonl": scored.join("\n") }, async (folder) => {
    assertEquals((await openImageTree(folder)).train.size, 2);
  });
  const text = `file_name,label\n${Array.from({ length: 20 }, (_, i) => `${i}.png,${i % 2 ? "x" : "y"}\n`).join("")}`;
  const twenty = Object.fromEntries(Array.from({ length: 20 }, (_, i): [string, Uint8Array] => [`${i}.png`, red]));
  const { train, test } = await withFolder({ ...twenty, "metadata.csv": text }, openImageTree);
  assertEquals([train.classes, train.size, test.size], [["x", "y"], 18, 2]);
});

Deno.test("metadata that cannot be used are refused by line", async () => {
  const opened = (csv: string, name = "metadata.csv") => withFolder({ ...pictures, [name]: csv }, openImageTree);
  await assertRejects(
    () => opened("file_name,label\n../x.png,a\n"),
    OneloraError,
    'line 2: found file_name "../x.png", outside',
  );
  await assertRejects(() => opened("file_name,label\n/etc/x.png,a\n"), OneloraError, "outside of the folder");
  await assertRejects(() => opened("file_name,label\n1.png\n"), OneloraError, "line 2: found 1 values for 2 columns");
  await assertRejects(() => opened('file_name,label\n1.png,"a\n'), OneloraError, "a quotation mark without its other");
  await assertRejects(() => opened("name,label\n1.png,a\n"), OneloraError, "file_name undefined");
  await assertRejects(() => opened("file_name,label\n1.png,a\n1.png,b\n"), OneloraError, "1.png again");
  await assertRejects(() => opened("file_name,label\n1.png,a\n2.png,\n"), OneloraError, 'line 3: found label ""');
  const latin = Uint8Array.from("file_name,label\n1.png,caf\u00e9\n", (each) => each.charCodeAt(0));
  await assertRejects(() => withFolder({ ...pictures, "metadata.csv": latin }, openImageTree), OneloraError, "UTF-8");
  await assertRejects(() => opened("file_name,label\n"), OneloraError, "no picture");
  await assertRejects(() => opened("{\n", "metadata.jsonl"), OneloraError, "line 1: found no JSON object");
  await assertRejects(() => opened('{"file_name":"1.png","label":{}}', "metadata.jsonl"), OneloraError, "label {}");
  const captions = { "1.png": red, "metadata.csv": "file_name,text\n1.png,hello\n" };
  await assertRejects(() => withFolder(captions, openImageTree), OneloraError, "found none");
  const extra = {
    ...within("train", pictures),
    ...within("test", pictures),
    "train/metadata.csv": "file_name,label\n1.png,a\n",
  };
  await assertRejects(() => withFolder(extra, openImageTree), OneloraError, "no labels for them");
  const other = { ...extra, "test/metadata.csv": "file_name,label\n1.png,b\n" };
  await assertRejects(() => withFolder(other, openImageTree), OneloraError, "found class b; allowed: the classes of");
});
