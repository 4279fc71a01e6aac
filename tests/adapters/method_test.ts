/**
 * Methods describe themselves: specifications, help and the exchange know no method that its own file does not describe.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { at, lora, methodNames, parseMethods } from "../../adapters/mod.ts";
import { heeds, methodForms, methods, methodsWith, refuseIdle, specify } from "../../adapters/spec.ts";
import { linear, OneloraError, serial } from "../../dsl/mod.ts";

Deno.test("every file of methods.ts describes a method, and every name is one method's", async () => {
  const list = await Deno.readTextFile(new URL("../../adapters/methods.ts", import.meta.url));
  const files = [...list.matchAll(/^export \* from "(.*)";$/gm)].map(([, file]) => file);
  for (const file of files) {
    const exported: Record<string, unknown> = await import(`../../adapters/${file}`);
    const described = Object.values(exported).filter((value) => methods.some((method) => method === value));
    assert(described.length > 0, file);
  }
  assertEquals(new Set(methodNames).size, methodNames.length);
  assertEquals(methodNames.length, methods.flatMap(({ aliases = {} }) => ["", ...Object.keys(aliases)]).length);
});

Deno.test("an alias is its method with the settings it stands for", () => {
  for (const method of methods) {
    for (const [alias, implied] of Object.entries(method.aliases ?? {})) {
      const [{ name, options }] = parseMethods(alias);
      assertEquals([name, options], [method.name, implied]);
      assertEquals(specify(method, implied).adapter, Object.keys(implied).length === 0 ? method.name : alias);
    }
  }
});

Deno.test("what specify writes is read as the same settings", () => {
  const values = { rank: 3, alpha: 6, rslora: true, size: "reference", compression: "random" } as const;
  for (const method of methods) {
    const own = Object.fromEntries(Object.entries(values).filter(([name]) => Object.hasOwn(method.settings, name)));
    const { adapter, ...options } = specify(method, own);
    const [read, ...others] = parseMethods(adapter, options);
    assertEquals([read.name, read.options, others], [method.name, own, []]);
  }
});

Deno.test("help names every setting of every method, and a wrong value is told what the setting allows", () => {
  const forms = methodForms();
  for (const { name, settings } of methods) {
    const form = forms.find((each) => each.split("[")[0] === name);
    for (const [key, { allowed }] of Object.entries(settings)) {
      assert(form?.includes(key), `${form} has ${key}`);
      const error = assertThrows(() => parseMethods(`${name}:${key}=`), OneloraError);
      assertEquals([error.exitCode, error.problem.allowed], [2, allowed]);
    }
  }
  assertEquals(methodsWith("alpha"), ["dora", "lora"]);
});

Deno.test("a setting that does nothing beside the others is refused, and not passed on to a method of several", () => {
  refuseIdle("mora1", { rank: 1 });
  refuseIdle("mora6:size=reference", { rank: 8 });
  refuseIdle("mora6:size=reference,rank=8", {});
  refuseIdle("lora+mora1", { rank: 8 });
  const cases: readonly [string, number | undefined, string][] = [
    ["mora1", 8, 'adapter "mora1", which has none; allowed: a method with one: dora, lora, miss, mora1:size=reference'],
    ["mora1:rank=8", undefined, "setting rank of mora1: found 8, which does nothing there; allowed: size=reference"],
    ["mora6:size=paper,rank=8", undefined, "setting rank of mora6"],
    ["1lora", 2, 'adapter "1lora"'],
  ];
  for (const [spec, rank, part] of cases) {
    const error = assertThrows(() => refuseIdle(spec, { rank }), OneloraError);
    assertEquals(error.exitCode, 2);
    assertStringIncludes(error.message, part);
  }
  // As it stands in the files of an adapter it is read, whatever it does.
  assertEquals(parseMethods("mora1", { rank: 8 })[0].options, { rank: 8 });
  assertEquals(["mora1", "lora", "mora1:size=reference"].map((each) => heeds(each, "rank", 8)), [false, true, true]);
});

Deno.test("a switch can be written out, on or off", () => {
  assertEquals(parseMethods("lora:rslora")[0].options, { rslora: true });
  assertEquals(parseMethods("lora:rslora=true")[0].options, { rslora: true });
  assertEquals(parseMethods("rslora:rslora=false")[0].options, { rslora: false });
});

Deno.test("a target that no layer has is refused without proposing itself", () => {
  const model = serial({ up: linear(4, 8), down: linear(8, 4) });
  const error = assertThrows(() => at("qkv", lora())(model), OneloraError);
  assertStringIncludes(error.message, 'no linear layer for target "qkv"; allowed: all-linear, or a pattern');
  const near = assertThrows(() => at("qvkx", lora())(model), OneloraError);
  assertStringIncludes(near.message, 'did you mean "qkv"?');
});
