// Experiments: each variant's conversions, and differences that may be looked at any time.

import { intervals } from "./charts.js";
import { data, fill, h, say } from "./dom.js";
import { count, interval, number, percent } from "./format.js";

const COLUMNS = ["Variant", "Role", "Customers", "Decisions", "Conversions", "Rate", "Uplift", "Always-valid 95 %", "Always-valid p"];

/** Return the function that draws the section into `root` from a world. */
export function experimentsView(root) {
  const empty = h("p", { class: "empty" });
  const list = h("div");
  fill(root, empty, list);
  return (world) => {
    const found = world.experiments ?? [];
    empty.hidden = found.length > 0;
    if (found.length === 0)
      say(empty, world.experiments === null ? "Reading …" : "No experiment runs. POST /api/v1/experiments makes one: models against each other, or against none.");
    fill(list, found.map((one) => article(one, list.clientWidth)));
  };
}

function article(experiment, width) {
  const { results } = experiment;
  const wide = width > 720 ? (width - 32) / 2 : width;
  const comparisons = compared(results);
  return h(
    "article",
    { "aria-label": `Experiment ${experiment.key}` },
    h("h3", {}, experiment.key, " ", h("span", { class: `badge ${experiment.status}` }, experiment.status)),
    results.sampleRatio.mismatch ? h("p", { class: "warning" }, "Customers are not split as planned (sample ratio mismatch): these results cannot be trusted.") : null,
    h("div", { class: "two" }, rates(results, wide), comparisons.length ? uplifts(comparisons, wide) : null),
    table(experiment, comparisons),
  );
}

function rates(results, width) {
  const rows = results.variants
    .filter((one) => one.samples > 0)
    .map((one, i) => ({ name: one.variant, colour: `c${i % 7}`, value: one.conversionRate, lower: one.ciLower, upper: one.ciUpper }));
  const name = `Conversion rates: ${rows.map((row) => `${row.name} ${percent(row.value)}`).join("; ")}`;
  const chart = rows.length ? intervals(rows, { width, name, format: percent }) : h("p", { class: "empty" }, "No decision yet.");
  return h("figure", {}, chart, h("figcaption", {}, "Conversion rate with Wilson's 95 % interval."));
}

function uplifts(comparisons, width) {
  const rows = comparisons.map((one) => ({ name: one.name, colour: one.colour, value: one.uplift, lower: one.upliftLower, upper: one.upliftUpper }));
  const name = `Uplift: ${rows.map((row) => `${row.name} ${percent(row.value)}, ${percent(row.lower)} to ${percent(row.upper)}`).join("; ")}`;
  const caption = "Difference from what it is compared with. The interval holds however often one looks; right of the dashed line it is better.";
  return h("figure", {}, intervals(rows, { width, name, format: percent, reference: 0 }), h("figcaption", {}, caption));
}

function compared(results) {
  const rows = results.variants.map((one, i) => ({ ...one, name: one.variant, colour: `c${i % 7}` }));
  const whole = results.treatedVersusHoldout;
  if (whole) rows.push({ ...whole, name: "all against none", colour: "c6" });
  const begun = results.variants.every((one) => one.samples > 0);
  return begun ? rows.filter((row) => typeof row.uplift === "number" && typeof row.upliftLower === "number") : [];
}

function table(experiment, comparisons) {
  const rows = [...experiment.results.variants, ...comparisons.filter((one) => one.role === undefined)];
  const caption = `Planned split: ${experiment.results.variants.map((one) => `${one.variant} ${number(one.trafficPct)} %`).join(", ")}.`;
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": `Experiment ${experiment.key}, table` },
    h(
      "table",
      {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, COLUMNS.map((name, i) => h("th", { scope: "col", class: i > 1 ? "number" : null }, name)))),
      h("tbody", {}, rows.map(line)),
    ),
  );
}

function line(row) {
  const cells = [
    numeral(row.customers, count),
    numeral(row.samples, count),
    numeral(row.conversions, count),
    numeral(row.conversionRate, percent),
    numeral(row.uplift, percent),
    row.upliftLower === null || row.upliftLower === undefined ? data(null) : interval(100 * row.upliftLower, 100 * row.upliftUpper).concat(" %"),
    numeral(row.alwaysValidPValue, number),
  ];
  const few = row.insufficientData ? h("span", { class: "hint" }, " too few") : null;
  return h("tr", {}, h("th", { scope: "row" }, row.variant ?? row.name, few), h("td", {}, row.role ?? "–"), cells.map((cell) => h("td", { class: "number" }, cell)));
}

function numeral(value, format) {
  return data(value ?? null, value === null || value === undefined ? "" : format(value));
}
