"""The page's style sheet: light, dark and print, from a phone to a wide screen.

Predictors' colours follow Okabe and Ito (2008), told apart by colour-blind readers; the dark ones
are the same hues, lighter.
"""

STYLE = """
:root {
  --page: #f6f7f8; --card: #ffffff; --text: #1b1f24; --quiet: #59636e; --rule: #d6dbe0;
  --grid: #e8ebee; --note: #fff7e0; --note-rule: #d9b44a; --row: #eef4fa;
  --p0: #0072b2; --p1: #8a8f94; --p2: #b8608f; --p3: #00845f; --p4: #d55e00; --p5: #c98a00;
  --p6: #3d9fd3; color-scheme: light dark;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --card: #1d2125; --text: #e6e9ec; --quiet: #a2abb4; --rule: #3a4149;
    --grid: #2b3137; --note: #2f2a1b; --note-rule: #8f7733; --row: #1f2d3a;
    --p0: #4fb0ea; --p1: #989fa6; --p2: #dd98bd; --p3: #35c49b; --p4: #f4874a; --p5: #f0b840;
    --p6: #8fd0f5;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; padding: 1.75rem 1rem 3rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1060px; margin: 0 auto; }
h1 { margin: 0 0 .25rem; font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 0 0 .6rem; font-size: 1.2rem; overflow-wrap: anywhere; }
h3 { margin: 0 0 .35rem; font-size: .95rem; overflow-wrap: anywhere; }
p { margin: 0 0 .8rem; max-width: 78ch; overflow-wrap: anywhere; }
code, pre { font: .82rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
code { overflow-wrap: anywhere; }
pre { margin: .6rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }
pre.columns { columns: 3 15rem; }
header { margin-bottom: 1.25rem; }
header p { margin: 0; max-width: none; color: var(--quiet); font-size: .9rem; }
section, .key, .note {
  background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
}
section { padding: 1.1rem 1.25rem 1.25rem; margin: 0 0 1.1rem; }
section > h3 { margin-top: 1.1rem; }
.note {
  padding: .6rem .9rem; margin: 0 0 1rem; max-width: none; font-size: .92rem;
  background: var(--note); border-color: var(--note-rule);
}
.note ul { margin: .2rem 0 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
.remark, figcaption { color: var(--quiet); font-size: .85rem; }
figcaption { margin-top: .2rem; } figure + .remark { margin-top: .7rem; }
.keys {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1.1rem;
  margin-bottom: 1.1rem;
}
.key { padding: .9rem 1.1rem; }
.key h2 { font-size: .88rem; font-weight: 600; color: var(--quiet); margin: 0; }
.key b {
  display: block; font-size: 1.9rem; line-height: 1.25; font-weight: 650;
  font-variant-numeric: tabular-nums;
}
.key b small { font-size: .95rem; font-weight: 400; color: var(--quiet); }
.key p { margin: .2rem 0 0; font-size: .88rem; line-height: 1.4; }
.key p + p { color: var(--quiet); }
.grid { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1.5rem 2rem; }
.grid + .scroll, .grid + h3 { margin-top: 1.2rem; }
figure { margin: 0; min-width: 0; }
.legend {
  display: flex; flex-wrap: wrap; gap: .1rem .9rem; margin: 0 0 .3rem; padding: 0;
  list-style: none; font-size: .82rem;
}
.swatch {
  display: inline-block; width: 1.1em; height: 0; margin-right: .4em; vertical-align: middle;
  border-top: 2px solid var(--c);
}
.swatch.strong { border-top-width: 4px; }
.swatch.dashed { border-top-style: dashed; }
.swatch.faint { opacity: .4; border-top-width: 1px; }
.swatch.points { width: .6em; height: .6em; border: 0; border-radius: 50%; background: var(--c); }
.scroll { overflow-x: auto; margin: 0 0 .7rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td {
  padding: .3rem .4rem; border-bottom: 1px solid var(--rule); text-align: left;
  vertical-align: top;
}
th { color: var(--quiet); font-weight: 600; vertical-align: bottom; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.number { white-space: normal; }
td.word:first-child { white-space: nowrap; }
.emphasised td { background: var(--row); font-weight: 650; }
.hash { display: inline-block; min-width: 12rem; font-size: .75rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: 0 0 .8rem;
  font-size: .9rem; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
details { margin-top: .5rem; } details > * + * { margin-top: .6rem; }
summary { cursor: pointer; font-size: .92rem; overflow-wrap: anywhere; }
.p0 { --c: var(--p0); } .p1 { --c: var(--p1); } .p2 { --c: var(--p2); } .p3 { --c: var(--p3); }
.p4 { --c: var(--p4); } .p5 { --c: var(--p5); } .p6 { --c: var(--p6); } .ink { --c: var(--text); }
svg { display: block; width: 100%; height: auto; }
figure > svg { max-width: 36rem; } svg svg { width: auto; }
svg text { fill: var(--text); font-size: 11.5px; font-variant-numeric: tabular-nums; }
svg .label { fill: var(--quiet); }
svg .value { font-weight: 600; }
svg .hint { fill: var(--quiet); }
svg .hint, svg .value { paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
svg .grid { stroke: var(--grid); stroke-width: 1; }
svg .axis { stroke: var(--quiet); stroke-width: 1; }
svg .level { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 4 3; }
svg path { fill: none; stroke: var(--c); stroke-width: 1.5; stroke-linejoin: round; }
svg path.strong { stroke-width: 2.6; }
svg path.area { fill: var(--c); fill-opacity: .16; }
svg path.dashed { stroke-dasharray: 6 3; }
svg path.faint { stroke-width: .8; opacity: .35; }
svg .bar { stroke: var(--c); stroke-width: 1.2; }
svg .dot { fill: var(--c); }
@media screen and (max-width: 760px) {
  body { padding: 1rem .6rem 2rem; }
  section { padding: .9rem .8rem 1rem; }
  .grid { grid-template-columns: minmax(0, 1fr); }
  dl { grid-template-columns: minmax(0, 1fr); } dd { margin-bottom: .4rem; }
}
@media screen and (max-width: 480px) { svg text { font-size: 12.5px; } }
@media print {
  :root {
    --page: #fff; --card: #fff; --text: #000; --quiet: #444; --rule: #bbb; --grid: #ddd;
    --note: #fff; --note-rule: #888; --row: #f0f0f0;
    --p0: #0072b2; --p1: #8a8f94; --p2: #b8608f; --p3: #00845f; --p4: #d55e00; --p5: #c98a00;
    --p6: #3d9fd3;
  }
  body { padding: 0; font-size: 10pt; }
  table { font-size: 7.5pt; } th, td { padding: .2rem .25rem; } .key b { font-size: 1.4rem; }
  * { print-color-adjust: exact; }
  figure, .key, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; }
}
"""
