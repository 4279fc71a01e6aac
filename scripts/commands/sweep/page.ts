/**
 * Tables and figures of a sweep as one page that needs nothing else: `paper.html`.
 *
 * @module
 */
import { element, escaped, type Markup } from "../../../tasks/report/markup.ts";
import { markdown } from "../../../tasks/report/markdown.ts";
import { pageStyle } from "../../../tasks/report/style.ts";

/** A figure. */
export interface Figure {
  /** What it shows. */
  readonly caption: string;
  /** The picture (SVG). */
  readonly svg: string;
}

/** A table with its figures. */
export interface Section {
  /** Its title. */
  readonly title: string;
  /** The table, with what has to be known to read it, in Markdown. */
  readonly table: string;
  /** Its figures. */
  readonly figures: readonly Figure[];
}

const STYLE = `
:root { --paper: #fff; --ink: #1f2328; --soft: #59636e; --line: #d8dee4; }
${pageStyle}
body { max-width: 80rem; }
nav a { margin-right: 1rem; }
section { margin-top: 3rem; }
figure { margin: 1.5rem 0; overflow-x: auto; }
/* Narrower, a chart's writing cannot be read: it is moved sideways, as the tables are. */
figure img { width: 100%; min-width: 44rem; max-width: 70rem; image-rendering: auto; }
figcaption { position: sticky; left: 0; }
table { font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th, td { white-space: nowrap; padding-right: .9rem; font-size: .92em; }
th[align="right"], td[align="right"] { text-align: right; }
td em { font-style: italic; }
`;

/** A picture inside the page; as an image of its own, so that no style or name of it meets another's. */
function image({ svg, caption }: Figure): Markup {
  const source = `data:image/svg+xml;base64,${new TextEncoder().encode(svg).toBase64()}`;
  return element("img", { src: source, alt: caption });
}

/** Lines of a legend each on their own; marks of ours as Markdown has them. */
function tableMarkup(table: string): Markup {
  const [, ...lines] = table.split("\n");
  const begun = lines.findIndex((line) => line.startsWith("| "));
  const end = lines.findLastIndex((line) => line.startsWith("| "));
  const rows = lines.slice(begun, end + 1).map((line) => line.replace(/<ins>(.*?)<\/ins>/g, "~~$1~~"));
  const legend = lines.slice(end + 1).filter((line) => line.trim() !== "")
    .map((line) => `- ${line.replace(/<ins>(.*?)<\/ins>/g, "~~$1~~")}`);
  // What is struck out in Markdown stands for what is underlined: it has no sign for that.
  return markdown([...rows, "", ...legend].join("\n")).replaceAll("<del>", "<u>").replaceAll("</del>", "</u>");
}

/**
 * The page.
 *
 * @param title Its title
 * @param introduction What it shows and how it was made, in Markdown
 * @param sections Tables and figures
 */
export function paperPage(title: string, introduction: string, sections: readonly Section[]): string {
  const anchor = (i: number) => `t${i + 1}`;
  let number = 0;
  const parts = sections.map(({ title, table, figures }, i) =>
    element(
      "section",
      { id: anchor(i) },
      element("h2", {}, escaped(title)),
      tableMarkup(table),
      ...figures.map((figure) =>
        element(
          "figure",
          {},
          image(figure),
          element("figcaption", {}, escaped(`Figure ${++number}. ${figure.caption}`)),
        )
      ),
    )
  );
  const links = sections.map(({ title }, i) => element("a", { href: `#${anchor(i)}` }, escaped(title.split(":")[0])));
  const head = element(
    "head",
    {},
    element("meta", { charset: "utf-8" }),
    element("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
    element("title", {}, escaped(title)),
    element("style", {}, STYLE),
  );
  const body = element(
    "body",
    {},
    element("h1", {}, escaped(title)),
    markdown(introduction),
    element("nav", {}, ...links),
    ...parts,
  );
  return `<!DOCTYPE html>\n${element("html", { lang: "en" }, head, body)}\n`;
}
