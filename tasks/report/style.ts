/**
 * How charts and pages look, by day and by night.
 *
 * @module
 */

/** Colours and lines of charts. */
export const chartStyle = `
:root { --paper: #fff; --ink: #1f2328; --soft: #59636e; --line: #d8dee4; --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37;
  --c3: #8250df; --c4: #bf3989; --c5: #7d6600; }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9198a1; --line: #30363d;
  --c0: #58a6ff; --c1: #f0883e; --c2: #3fb950; --c3: #bc8cff; --c4: #f778ba; --c5: #d4b106; } }
svg { font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); }
svg .title { font-weight: 600; font-size: 13px; }
svg .tick { fill: var(--soft); font-size: 11px; }
svg .grid { stroke: var(--line); }
svg .axis { stroke: var(--soft); }
svg .equal { stroke: var(--soft); stroke-dasharray: 4 3; }
svg .series { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
svg .band { stroke: none; opacity: .18; }
svg .dashed { stroke-dasharray: 5 3; }
svg .faint { opacity: .35; }
svg .strip { stroke: transparent; }
svg .strip:hover { stroke: var(--soft); opacity: .25; }
${
  Array.from({ length: 6 }, (_, i) => `svg .s${i} { stroke: var(--c${i}); } svg .f${i} { fill: var(--c${i}); }`).join(
    "\n",
  )
}
`;

/** The page around them. */
export const pageStyle = `
body { margin: 2rem auto; padding: 0 1rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p, figcaption, th { color: var(--soft); }
.charts, .tables { display: grid; gap: 1rem 2rem; grid-template-columns: repeat(auto-fill, minmax(26rem, 1fr)); }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
.pictures figure { width: min-content; max-width: 100%; }
.charts svg { width: 100%; height: auto; }
.wide svg { width: 100%; height: auto; }
figure { margin: 0; }
figure img { min-width: 12rem; max-width: min(62rem, 100vw - 2rem); image-rendering: pixelated; }
figcaption { white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; }
th, td { padding: .15rem 1.5rem .15rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { font-weight: normal; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.text { overflow-x: auto; }
.text td, .text th { overflow-wrap: normal; }
code { overflow-wrap: anywhere; }
@media (max-width: 32rem) { .charts, .tables { grid-template-columns: 1fr; } }
`;
