import { assertTaken, testModelCases, working } from "../support/engine_agreement.ts";

const works = await working("webgpu");

testModelCases("webgpu", works);

Deno.test({
  name: "webgpu is taken where it is chosen, and memory starts empty",
  ignore: !works,
  fn: () => assertTaken("webgpu"),
});
