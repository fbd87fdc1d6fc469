// Learning: how well offers do by day, what share of the traffic they get, and how the means move right now.

import { lines, stacked } from "./charts.js";
import { data, fill, h, say } from "./dom.js";
import { colourOf, dashOf, legendItem, nameOf, traffic, trafficMeasure } from "./feed.js";
import { clock, day, number, percent } from "./format.js";

const DRAWN = 6;
const HEIGHT = 220;
const WINDOW = 7; // days that a rate looks back: single days of single offers are mostly chance
const LEAST = 5; // rewards below which there is no rate

/** Return the function that draws the section into `root` from a world. */
export function learningView(root) {
  const empty = h("p", { class: "empty" });
  const key = h("ul", { class: "key" });
  const rates = figure("Success rate", "Positive outcomes out of positive and negative ones, over the seven days to each day.");
  const shares = figure("Share of traffic by day", "");
  const trace = figure("Posterior means since this page was opened", "The newest four minutes, a point a second.");
  const charts = h("div", {}, key, h("div", { class: "two" }, rates.root, shares.root), trace.root);
  fill(root, empty, charts);

  return (world) => {
    const busiest = traffic(world).slice(0, DRAWN).map((row) => row.id);
    empty.hidden = busiest.length > 0;
    charts.hidden = busiest.length === 0;
    if (busiest.length === 0) return say(empty, world.daily === null ? "Reading …" : "Nothing happened in the last 30 days.");
    const days = allDays(world.daily);
    fill(key, legend(world, busiest));
    drawRates(rates.chart, world, busiest, days);
    drawShares(shares, world, busiest, days);
    drawTrace(trace.chart, world, DRAWN);
  };
}

function figure(title, caption) {
  const chart = h("div", { class: "chart" });
  const text = h("figcaption", {}, caption);
  return { root: h("figure", {}, h("h3", {}, title), chart, text), chart, text };
}

function legend(world, offers) {
  const rest = traffic(world).length > offers.length;
  return [h("li", {}, h("span", { class: "whole" }), "all offers together"), ...offers.map((id) => legendItem(world, id)), rest ? h("li", {}, h("span", { class: "rest" }), "all others") : null];
}

function allDays(rows) {
  const days = [...new Set(rows.map((row) => row.day))].sort();
  const all = [];
  for (let at = Date.parse(days[0]); at <= Date.parse(days.at(-1)); at += 86400000) all.push(new Date(at).toISOString().slice(0, 10));
  return all;
}

function drawRates(chart, world, offers, days) {
  const of = (id) => rolling(world.daily.filter((row) => id === undefined || row.id === id), days);
  const curves = offers.map((id) => ({ colour: colourOf(world, id), dash: dashOf(world, id), points: of(id) }));
  curves.push({ colour: "whole", strong: true, points: of(undefined) });
  const known = curves.some((curve) => curve.points.some(([, y]) => y !== null));
  const xs = days.length > 1 ? [0, days.length - 1] : [-1, 1];
  const options = { width: chart.clientWidth, height: HEIGHT, name: "Success rate of all offers and of the busiest ones", xs, xTicks: days.map((one, at) => [at, day(one)]), yFormat: axisPercent };
  fill(chart, known ? lines(curves, options) : h("p", { class: "empty" }, `Fewer than ${LEAST} rewards yet.`));
}

/** Return the share of positive rewards over the days to each day, as points; null where there are too few. */
export function rolling(rows, days) {
  const sums = new Map();
  for (const row of rows) {
    const [positive, all] = sums.get(row.day) ?? [0, 0];
    sums.set(row.day, [positive + row.positive, all + row.positive + row.negative]);
  }
  return days.map((_, at) => {
    const window = days.slice(Math.max(0, at - WINDOW + 1), at + 1).map((one) => sums.get(one) ?? [0, 0]);
    const [positive, all] = window.reduce(([a, b], [c, d]) => [a + c, b + d], [0, 0]);
    return [at, all < LEAST ? null : positive / all];
  });
}

function drawShares({ chart, text }, world, offers, days) {
  const measure = trafficMeasure(world);
  say(text, measure === "impression" ? "Of all deliveries." : "Of all outcomes, for no deliveries are told.");
  fill(chart, shareChart(world, offers, days, chart.clientWidth, HEIGHT));
}

/** Return the shares of offers by day as stacked columns. */
export function shareChart(world, offers, days, width, height) {
  const measure = trafficMeasure(world);
  const columns = days.map((one) => {
    const rows = world.daily.filter((row) => row.day === one);
    const whole = rows.reduce((sum, row) => sum + row[measure], 0) || 1;
    const own = offers.map((id) => ({ name: nameOf(world, id), colour: colourOf(world, id), value: (rows.find((row) => row.id === id)?.[measure] ?? 0) / whole }));
    const others = rows.filter((row) => !offers.includes(row.id)).reduce((sum, row) => sum + row[measure], 0) / whole;
    return { label: day(one), parts: [...own, { name: "all others", colour: "rest", value: others }] };
  });
  return stacked(columns, { width, height, name: "Share of traffic of the busiest offers by day", yFormat: axisPercent, top: 1 });
}

/** Return the days that have rows, and those between. */
export { allDays };

/** Draw how the best offers' means have moved since the page was opened. */
export function drawTrace(chart, world, most, height = HEIGHT) {
  const points = world.trace;
  const newest = points.at(-1)?.means ?? {};
  const best = Object.keys(newest).sort((a, b) => newest[b] - newest[a]).slice(0, most);
  if (best.length === 0) return fill(chart, data(null));
  const curves = best.map((id) => ({ colour: colourOf(world, id), dash: dashOf(world, id), points: points.map((one) => [one.time, one.means[id] ?? null]) }));
  const means = curves.flatMap((curve) => curve.points.map(([, y]) => y)).filter((y) => y !== null);
  const [low, high] = [Math.min(...means), Math.max(...means)];
  const air = Math.max(0.02 * Math.abs(high), 0.15 * (high - low), 1e-6);
  const end = points.at(-1).time;
  const options = {
    width: chart.clientWidth,
    height,
    name: `Posterior means now: ${best.map((id) => `${nameOf(world, id)} ${number(newest[id])}`).join("; ")}`,
    xs: [Math.min(points[0].time, end - 30000), end],
    ys: [low >= 0 ? Math.max(0, low - air) : low - air, high + air],
    xFormat: clock,
    yFormat: (value) => String(Number(value.toPrecision(4))),
  };
  fill(chart, lines(curves, { ...options, xTicks: timeTicks(options.xs) }));
}

/** Return five times on an axis of times. */
export function timeTicks([from, to]) {
  return Array.from({ length: 5 }, (_, i) => from + ((to - from) * i) / 4).map((time) => [time, clock(time)]);
}

function axisPercent(value) {
  return percent(value).replace(".0 %", " %");
}
