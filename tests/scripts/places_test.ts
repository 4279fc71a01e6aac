import { assertEquals } from "@std/assert";
import { placesIn } from "../../scripts/cli/places.ts";
import { listPictures } from "../../scripts/commands/predict/pictures.ts";

Deno.test("files and folders between commas may have commas of their own", async () => {
  const folder = await Deno.makeTempDir({ prefix: "a, b," });
  try {
    for (const name of ["x.png", "y,z.png", "one,two, three.png"]) await Deno.writeTextFile(`${folder}/${name}`, "");
    const at = (name: string) => `${folder}/${name}`;
    assertEquals(await placesIn(at("y,z.png")), [at("y,z.png")]);
    const several = [at("y,z.png"), at("x.png"), at("one,two, three.png")];
    assertEquals(await placesIn(several.join(",")), several);
    assertEquals(await placesIn(several.join(" , ")), several);
    // What is not there is named as it stands between the commas; those around it are found.
    assertEquals(await placesIn(`${at("x.png")},none.png,,${at("y,z.png")}`), [at("x.png"), "none.png", at("y,z.png")]);
    // What begins as another name does is taken whole where its rest is nothing.
    await Deno.writeTextFile(at("y"), "");
    assertEquals(await placesIn(`${at("y,z.png")},${at("y")},${at("x.png")}`), [at("y,z.png"), at("y"), at("x.png")]);
    await Deno.remove(at("y"));
    assertEquals(await listPictures(several.join(","), () => {}), several);
    assertEquals((await listPictures(folder, () => {})).length, 3);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
