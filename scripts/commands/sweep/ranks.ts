/**
 * Where a method stands among others, here and in the paper.
 *
 * @module
 */
import { paperTable } from "./paper_tables.ts";
import { type Deciding, order, type Row, type Trial } from "./rows.ts";

/** The paper's own methods. */
const OURS: readonly string[] = ["1lora", "1lora+norms"];

function rankOf<Item>(
  items: readonly Item[],
  item: Item,
  valueOf: (item: Item) => number,
  compare: ReturnType<typeof order>,
) {
  return 1 + items.filter((each) => compare(valueOf(each), valueOf(item)) < 0).length;
}

/** Whether two means are further apart than twice the standard error of their difference; unknown of single runs. */
function isApart(a: Trial["metric"], b: Trial["metric"]): boolean | undefined {
  if (a.deviation === undefined || b.deviation === undefined) return undefined;
  const error = Math.sqrt(a.deviation ** 2 / a.count + b.deviation ** 2 / b.count);
  return Math.abs(a.mean - b.mean) > 2 * error;
}

/**
 * A line for each of the paper's own methods: its place among the methods of a table that are no references, here and in
 * the paper, and which of them are ahead or behind by more than twice the standard error of the difference.
 *
 * @param name The table
 * @param rows Our results
 * @param deciding What decides
 */
export function rankNotes(name: string, rows: readonly Row[], { better }: Deciding): readonly string[] {
  const compare = order(better);
  const known = paperTable(name).rows;
  const both = rows.flatMap(({ best, reference, method, label }) => {
    const paper = known.find((row) => row.method === method);
    return best === undefined || reference || paper === undefined
      ? []
      : [{ method, label, metric: best.metric, paper }];
  });
  if (both.length < 2) return [];
  return both.filter(({ method }) => OURS.includes(method)).map((own) => {
    const [here, there] = [
      rankOf(both, own, ({ metric }) => metric.mean, compare),
      rankOf(both, own, ({ paper }) => paper.mean, compare),
    ];
    const others = both.filter((each) => each !== own && isApart(each.metric, own.metric) === true);
    const named = (ahead: boolean) =>
      others.filter(({ metric }) => compare(metric.mean, own.metric.mean) < 0 === ahead).map(({ label }) => label);
    const [ahead, behind] = [named(true), named(false)];
    const sure = [
      ...ahead.length > 0 ? [`clearly behind ${ahead.join(", ")}`] : [],
      ...behind.length > 0 ? [`clearly ahead of ${behind.join(", ")}`] : [],
    ];
    return `${own.label}: place ${here} of ${both.length} here, ${there} in the paper` +
      `${sure.length > 0 ? `; ${sure.join(", ")} (by more than two standard errors)` : ""}.`;
  });
}
