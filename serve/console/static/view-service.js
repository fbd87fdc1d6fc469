// The service: outcomes a second, how fast it answers, and where the learners are. All tenants together.

import { lines, stacked } from "./charts.js";
import { data, fill, h, say } from "./dom.js";
import { count, duration, rate } from "./format.js";
import { upTo } from "./scales.js";
import { quantile } from "./stats.js";

const HEIGHT = 190;
const WINDOW_S = 120;
const AGES = [-120, -90, -60, -30, 0].map((ago) => [ago, ago === 0 ? "now" : `${-ago} s ago`]);
const SERIES = {
  recorded: ["recorded", "c2"],
  duplicates: ["duplicates", "c4"],
  refused: ["refused", "c5"],
  decisions: ["recommendations", "c0"],
  requests: ["requests", "c3"],
};
const QUANTILES = [["median", 0.5], ["90 %", 0.9], ["99 %", 0.99]];
/** What the answering times are of. */
export const LATENCY_HINT = "POST /respond and /recommend since this page was opened, as the replicas measure it; all tenants.";
const LEARNER_COLUMNS = ["Learner", "Partitions", "Entries learned", "Behind", "Lag", "Archive"];

/** Return the function that draws the section into `root` from a world. */
export function serviceView(root) {
  const chart = h("div", { class: "chart" });
  const flow = h("figure", {}, h("h3", {}, "Outcomes a second"), legend(["recorded", "duplicates", "refused", "decisions"]), chart);
  const totals = h("figcaption");
  flow.append(totals);
  const answers = h("dl", { class: "figures across" });
  const times = h("div", { class: "chart" });
  const speed = h("figure", {}, h("h3", {}, "Time to answer"), answers, times, h("figcaption", {}, LATENCY_HINT));
  const body = h("tbody");
  const head = h("thead", {}, h("tr", {}, LEARNER_COLUMNS.map((name, i) => h("th", { scope: "col", class: i > 0 && i < 5 ? "number" : null }, name))));
  const caption = h("caption");
  const table = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Learners, table" }, h("table", { id: "learners-table" }, caption, head, body));
  fill(root, h("div", { class: "two wide-left" }, flow, speed), table);

  return (world) => {
    fill(chart, rateChart(world, ["recorded", "duplicates", "refused", "decisions"], chart.clientWidth, HEIGHT));
    say(totals, totalsText(world));
    fill(answers, latencyItems(world));
    fill(times, latencyChart(world, times.clientWidth, HEIGHT - 40));
    say(caption, readinessText(world));
    fill(body, (world.service?.learners ?? []).map(learnerRow));
  };
}

/** Return the names of some rates with their colours. */
export function legend(names) {
  return h("ul", { class: "key" }, names.map((name) => h("li", {}, h("span", { class: SERIES[name][1] }), SERIES[name][0])));
}

/** Return rates of the last two minutes. */
export function rateChart(world, names, width, height) {
  const { points } = world.rates;
  const end = points.at(-1)?.time ?? 0;
  const curves = names.map((name) => ({
    colour: SERIES[name][1],
    points: points.map((one) => [(one.time - end) / 1000, one[name]]).filter(([ago]) => ago >= -WINDOW_S),
  }));
  const largest = Math.max(0, ...curves.flatMap((curve) => curve.points.map(([, y]) => y)));
  const now = world.rates.now;
  const name = `A second, now: ${names.map((one) => `${SERIES[one][0]} ${rate(now?.[one] ?? 0)}`).join(", ")}`;
  return lines(curves, { width, height, name, xs: [-WINDOW_S, 0], ys: upTo(largest, 1), xTicks: AGES, yFormat: (value) => String(value) });
}

/** Return what came since the service was started, in words. */
export function totalsText(world) {
  const { recorded, duplicates, refused, decisions } = world.rates.totals;
  return `All tenants, since the start: ${count(recorded)} recorded, ${count(duplicates)} duplicates, ${count(refused)} refused; ${count(decisions)} recommendations.`;
}

/** Return the quantiles of answering times, as terms and descriptions. */
export function latencyItems(world) {
  return QUANTILES.flatMap(([name, q]) => {
    const value = quantile(world.rates.buckets, q);
    return [h("dt", {}, name), h("dd", {}, data(value, value === null ? "" : duration(value)))];
  });
}

/** Return how many answers took how long. */
export function latencyChart(world, width, height) {
  const { buckets } = world.rates;
  const whole = buckets.at(-1)?.[1] ?? 0;
  if (whole === 0) return h("p", { class: "empty" }, "No answer yet.");
  const columns = buckets.map(([bound, n], i) => ({
    label: Number.isFinite(bound) ? `≤ ${short(bound)}` : "more",
    parts: [{ name: "share of the answers", colour: "c0", value: (n - (buckets[i - 1]?.[1] ?? 0)) / whole }],
  }));
  return stacked(columns, { width, height, name: "Share of the answers by the time they took", yFormat: (value) => `${Math.round(100 * value)} %` });
}

function short(seconds) {
  return seconds < 1 ? `${Number((seconds * 1000).toPrecision(3))} ms` : `${seconds} s`;
}

/** Return the lag of the slowest learner over the last minutes. */
export function lagChart(world, width, height) {
  const end = world.lags.at(-1)?.time ?? 0;
  const points = world.lags.map((one) => [(one.time - end) / 1000, Math.min(one.lagMs, 1e6)]).filter(([ago]) => ago >= -WINDOW_S);
  const largest = Math.max(0, ...points.map(([, y]) => y));
  const name = `Lag of the slowest learner, now ${count(points.at(-1)?.[1] ?? 0)} ms`;
  return lines([{ colour: "c3", points }], { width, height, name, xs: [-WINDOW_S, 0], ys: upTo(largest, 100), xTicks: AGES, yFormat: count });
}

/** Return whether the service is ready, in words. */
export function readinessText(world) {
  if (world.service === null) return "Reading …";
  return world.service.status === "ready" ? "Storage answers, the learners have caught up." : `Not ready: ${world.service.reasons.join("; ")}.`;
}

/** Return a learner's row. */
export function learnerRow(learner) {
  const late = learner.lagMs > 1000;
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, learner.name),
    h("td", { class: "number" }, count(learner.partitions)),
    h("td", { class: "number" }, count(learner.position)),
    h("td", { class: "number" }, count(learner.behind)),
    h("td", { class: late ? "number late" : "number" }, learner.lagMs >= 1e6 ? "starting" : `${count(learner.lagMs)} ms`),
    h("td", {}, learner.archiveError ?? "ok"),
  );
}
