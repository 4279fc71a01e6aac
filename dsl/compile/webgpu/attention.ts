/**
 * Attention in blocks (Dao et al. 2022): scores are there four keys, or queries, at a time and never in memory.
 *
 * o = softmax(s) v with s = scale q k^T + mask goes over keys once, with the largest score m and the sum l = Σ exp(s - m) so far;
 * both are kept for the gradient, which makes p = exp(s - m) / l again. With w = p dP, dP = do v^T and D = rowsum w,
 * dq = scale (w k - D p k), dk = scale (p (dP - D))^T q, dv = p^T do: D comes with dq, so neither o nor D need be kept.
 *
 * @module
 */
import { sizeOf } from "../../tree.ts";
import type { Call, ValueId } from "../program.ts";
import { FOUR, type Job, jobOf, LEAST, Lines, maskRow, PARTS, ROWS, rowsOf, seen } from "./attention_code.ts";
import { Binder, float, type GpuKernel, overRange } from "./kernel.ts";
import type { Lower, Lowering } from "./lowering.ts";

/** What a kernel with threads for blocks of queries begins with, and the head of its loop over the keys that they see. */
function overQueries(job: Job, rows: number) {
  const { batch, heads, keyHeads, queries, keys, fours, window } = job;
  const blocks = Math.ceil(queries / rows);
  const { head, groups } = overRange(batch * heads * blocks);
  const begin = [
    head,
    `  let first = (i % ${blocks}u) * ${rows}u;`,
    `  let each = i / ${blocks}u;`,
    `  let batch = each / ${heads}u;`,
    `  let shared_ = (batch * ${keyHeads}u + (each % ${heads}u) / ${heads / keyHeads}u) * ${keys * fours}u;`,
    ...ROWS(rows).flatMap((r) => [
      `  let place${r} = min(first + ${r}u, ${queries - 1}u);`,
      `  let row${r} = each * ${queries}u + place${r};`,
    ]),
    ...window > 0
      ? [
        `  let end = min(first + ${rows}u, ${keys}u);`,
        `  let start = select(0u, (first + 1u - ${window}u) / 4u * 4u, first + 1u > ${window}u);`,
      ]
      : [`  let end = ${keys}u;`, `  let start = 0u;`],
  ];
  const loop = [
    `  for (var j = start; j < end; j += 4u) {`,
    `    let key = vec4<u32>(j) + ${FOUR};`,
  ];
  const at = (t: number) => `shared_ + min(j + ${t}u, ${keys - 1}u) * ${fours}u`;
  return { begin, loop, groups, at };
}

/** Scores of a thread's queries with four keys, as `s0`, `s1`, ... */
function scores(lines: Lines, job: Job, mask: string | undefined, shape: readonly number[], rows: number): void {
  for (const r of ROWS(rows)) {
    const [isSeen, added] = seen(job, mask, `place${r}`);
    if (added !== "") {
      lines.add(
        `    { let masked = ${maskRow(job, shape, "batch", `place${r}`)}; s${r} = s${r} * ${
          float(job.scale)
        } + ${added}; }`,
      );
    } else lines.add(`    s${r} *= ${float(job.scale)};`);
    if (isSeen !== "") lines.add(`    s${r} = select(vec4<f32>(${LEAST}), s${r}, ${isSeen});`);
  }
}

function forward(call: Call, lowering: Lowering): GpuKernel {
  const [q, k, v, mask] = call.inputs;
  const [o, stats] = call.outputs;
  const job = jobOf(call, [q, k, mask], lowering);
  const { fours, queries } = job;
  const rows = rowsOf(lowering.target, queries, fours, 2);
  const binder = new Binder(lowering.rootOf);
  const [from, keys, values] = [q, k, v].map((each) => binder.read(each, "vec4<f32>"));
  const added = mask === undefined ? undefined : binder.read(mask, "f32");
  const [to, kept] = [binder.write(o, "vec4<f32>"), binder.write(stats, "vec2<f32>")];
  const { begin, loop, groups, at } = overQueries(job, rows);
  const lines = new Lines();
  lines.add(...begin);
  lines.rows("q", from, (r) => `row${r} * ${fours}u`, rows, fours);
  lines.zeros("o", rows, fours);
  for (const r of ROWS(rows)) lines.add(`  var m${r} = ${LEAST};`, `  var l${r} = 0f;`);
  lines.add(...loop);
  lines.four("k", keys, at, fours);
  lines.products("s", "q", "k", rows, fours);
  scores(lines, job, added, mask === undefined ? [] : lowering.types[mask].shape, rows);
  for (const r of ROWS(rows)) {
    lines.add(
      `    let next${r} = max(m${r}, max(max(s${r}.x, s${r}.y), max(s${r}.z, s${r}.w)));`,
      `    let less${r} = exp(m${r} - next${r});`,
      `    let p${r} = exp(s${r} - vec4<f32>(next${r}));`,
      `    l${r} = l${r} * less${r} + ((p${r}.x + p${r}.y) + (p${r}.z + p${r}.w));`,
      `    m${r} = next${r};`,
    );
    for (let d = 0; d < fours; d++) lines.add(`    o${r}_${d} *= less${r};`);
  }
  lines.four("v", values, at, fours);
  lines.sums("o", "p", "v", rows, fours);
  lines.add("  }");
  for (const r of ROWS(rows)) {
    lines.add(
      r === 0 ? "  {" : `  if (first + ${r}u < ${queries}u) {`,
      `    let share = 1f / l${r};`,
      ...Array.from({ length: fours }, (_, d) => `    ${to}[row${r} * ${fours}u + ${d}u] = o${r}_${d} * share;`),
      `    ${kept}[row${r}] = vec2<f32>(m${r}, share);`,
      "  }",
    );
  }
  lines.add("}");
  return { bindings: binder.bindings, params: [], groups, body: lines.all.join("\n") };
}

/** dq, and for each query m, 1 / l and D. */
function queryGradient(call: Call, found: ValueId, lowering: Lowering): GpuKernel {
  const [dy, q, k, v, stats, mask] = call.inputs;
  const [dq] = call.outputs;
  const job = jobOf(call, [q, k, mask], lowering);
  const { fours, queries } = job;
  const rows = rowsOf(lowering.target, queries, fours, 4);
  const binder = new Binder(lowering.rootOf);
  const [gradient, from, keys, values] = [dy, q, k, v].map((each) => binder.read(each, "vec4<f32>"));
  const kept = binder.read(stats, "vec2<f32>");
  const added = mask === undefined ? undefined : binder.read(mask, "f32");
  const [to, told] = [binder.write(dq, "vec4<f32>"), binder.write(found, "vec4<f32>")];
  const { begin, loop, groups, at } = overQueries(job, rows);
  const lines = new Lines();
  lines.add(...begin);
  lines.rows("q", from, (r) => `row${r} * ${fours}u`, rows, fours);
  lines.rows("g", gradient, (r) => `row${r} * ${fours}u`, rows, fours);
  lines.zeros("a", rows, fours);
  lines.zeros("b", rows, fours);
  for (const r of ROWS(rows)) lines.add(`  let stats${r} = ${kept}[row${r}];`, `  var d${r} = vec4<f32>(0);`);
  lines.add(...loop);
  lines.four("k", keys, at, fours);
  lines.products("s", "q", "k", rows, fours);
  scores(lines, job, added, mask === undefined ? [] : lowering.types[mask].shape, rows);
  lines.four("v", values, at, fours);
  lines.products("w", "g", "v", rows, fours);
  for (const r of ROWS(rows)) {
    lines.add(
      `    let p${r} = exp(s${r} - vec4<f32>(stats${r}.x)) * stats${r}.y;`,
      `    w${r} *= p${r};`,
      `    d${r} += w${r};`,
    );
  }
  lines.sums("a", "w", "k", rows, fours);
  lines.sums("b", "p", "k", rows, fours);
  lines.add("  }");
  for (const r of ROWS(rows)) {
    lines.add(
      r === 0 ? "  {" : `  if (first + ${r}u < ${queries}u) {`,
      `    let d = (d${r}.x + d${r}.y) + (d${r}.z + d${r}.w);`,
      ...Array.from(
        { length: fours },
        (_, at) => `    ${to}[row${r} * ${fours}u + ${at}u] = (a${r}_${at} - b${r}_${at} * d) * ${float(job.scale)};`,
      ),
      `    ${told}[row${r}] = vec4<f32>(stats${r}, d, 0f);`,
      "  }",
    );
  }
  lines.add("}");
  return { bindings: binder.bindings, params: [], groups, body: lines.all.join("\n") };
}

/** dk and dv: a thread has some keys, and goes over the queries of all heads that read them. */
function keyGradient(call: Call, found: ValueId, lowering: Lowering): GpuKernel {
  const [dy, q, k, v, , mask] = call.inputs;
  const [, dk, dv] = call.outputs;
  const job = jobOf(call, [q, k, mask], lowering);
  const { batch, heads, keyHeads, queries, keys, fours, window, scale } = job;
  const rows = rowsOf(lowering.target, keys, fours, 4);
  const binder = new Binder(lowering.rootOf);
  const [gradient, from, own, values] = [dy, q, k, v].map((each) => binder.read(each, "vec4<f32>"));
  const told = binder.read(found, "vec4<f32>");
  const added = mask === undefined ? undefined : binder.read(mask, "f32");
  const [toKeys, toValues] = [dk, dv].map((each) => binder.write(each, "vec4<f32>"));
  const blocks = Math.ceil(keys / rows);
  const { head, groups } = overRange(batch * keyHeads * blocks);
  const lines = new Lines();
  lines.add(
    head,
    `  let first = (i % ${blocks}u) * ${rows}u;`,
    `  let each = i / ${blocks}u;`,
    `  let batch = each / ${keyHeads}u;`,
    ...ROWS(rows).flatMap((r) => [
      `  let place${r} = min(first + ${r}u, ${keys - 1}u);`,
      `  let row${r} = each * ${keys}u + place${r};`,
    ]),
  );
  lines.rows("k", own, (r) => `row${r} * ${fours}u`, rows, fours);
  lines.rows("v", values, (r) => `row${r} * ${fours}u`, rows, fours);
  lines.zeros("a", rows, fours);
  lines.zeros("b", rows, fours);
  const group = heads / keyHeads;
  lines.add(
    // Queries of the heads of a group lie side by side.
    `  for (var h = 0u; h < ${group}u; h++) {`,
    `  let start = (each * ${group}u + h) * ${queries}u;`,
    window > 0
      ? `  for (var j = first / 4u * 4u; j < min(${queries}u, first + ${rows + window - 1}u); j += 4u) {`
      : `  for (var j = 0u; j < ${queries}u; j += 4u) {`,
    `    let query = vec4<u32>(j) + ${FOUR};`,
    `    let at = vec4<u32>(start) + min(query, vec4<u32>(${queries - 1}u));`,
    ...PARTS.map((part) => `    let t${part} = ${told}[at.${part}];`),
    `    let m = vec4<f32>(${PARTS.map((part) => `t${part}.x`).join(", ")});`,
    `    let share = vec4<f32>(${PARTS.map((part) => `t${part}.y`).join(", ")});`,
    `    let d = vec4<f32>(${PARTS.map((part) => `t${part}.z`).join(", ")});`,
  );
  const at = (t: number) => `at.${PARTS[t]} * ${fours}u`;
  lines.four("q", from, at, fours);
  lines.products("s", "k", "q", rows, fours);
  lines.four("g", gradient, at, fours);
  lines.products("w", "v", "g", rows, fours);
  const shape = mask === undefined ? [] : lowering.types[mask].shape;
  for (const r of ROWS(rows)) {
    const key = `place${r}`;
    const conditions = [
      ...queries % 4 === 0 ? [] : [`query < vec4<u32>(${queries}u)`],
      ...window > 0 ? [`query >= vec4<u32>(${key})`] : [],
      ...window > 0 && window < keys ? [`query < vec4<u32>(${key} + ${window}u)`] : [],
    ];
    let mine = `s${r} * ${float(scale)}`;
    if (added !== undefined) {
      const numbers = PARTS.map((part) => {
        const place = queries % 4 === 0 ? `query.${part}` : `min(query.${part}, ${queries - 1}u)`;
        return `${added}[${maskRow(job, shape, "batch", place)} + ${key}]`;
      });
      mine += ` + vec4<f32>(${numbers.join(", ")})`;
    }
    const p = `exp(${mine} - m) * share`;
    const isSeen = conditions.map((each) => `(${each})`).join(" & ");
    lines.add(
      `    let p${r} = ${isSeen === "" ? p : `select(vec4<f32>(0), ${p}, ${isSeen})`};`,
      `    w${r} = p${r} * (w${r} - d);`,
    );
  }
  lines.sums("a", "w", "q", rows, fours);
  lines.sums("b", "p", "g", rows, fours);
  lines.add("  }", "  }");
  for (const r of ROWS(rows)) {
    lines.add(r === 0 ? "  {" : `  if (first + ${r}u < ${keys}u) {`);
    for (let d = 0; d < fours; d++) {
      lines.add(
        `    ${toKeys}[row${r} * ${fours}u + ${d}u] = a${r}_${d} * ${float(scale)};`,
        `    ${toValues}[row${r} * ${fours}u + ${d}u] = b${r}_${d};`,
      );
    }
    lines.add("  }");
  }
  lines.add("}");
  return { bindings: binder.bindings, params: [], groups, body: lines.all.join("\n") };
}

const gradient: Lower = (call, lowering) => {
  const { shape } = lowering.types[call.inputs[1]];
  const found = lowering.between({ shape: [sizeOf(shape.slice(0, -1)), 4], dtype: "float32" });
  return [queryGradient(call, found, lowering), keyGradient(call, found, lowering)];
};

/** Kernels by names of ours. */
export const attentions: Readonly<Record<string, Lower>> = {
  BlockAttention: (call, lowering) => [forward(call, lowering)],
  BlockAttentionGrad: gradient,
};
