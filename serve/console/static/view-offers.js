// Offers: what the model believes of each, how surely, and what came of it lately.

import { intervalBar, lines } from "./charts.js";
import { data, fill, h, s, say } from "./dom.js";
import { colourOf, dashOf, legendItem, nameOf, shownModel, traffic, trafficMeasure } from "./feed.js";
import { age, count, interval, number, percent } from "./format.js";
import { peak, posterior, range, sampled } from "./stats.js";

const DRAWN = 6; // curves in one picture that can still be told apart
const ROWS = 200;
const FINDER_FROM = 12; // offers that one finds without help
const RECENT = 10;
const COLUMNS = ["Offer", "Posterior", "Mean", "95 % interval", "Pulls", "Positive", "Negative", "Traffic", "Recent rewards", "Last"];
const TEXTUAL = new Set(["Offer", "Posterior", "Recent rewards"]);

/** Return the function that draws the section into `root` from a world. */
export function offersView(root) {
  const empty = h("p", { class: "empty" });
  const chart = h("div", { class: "chart tall" });
  const key = h("ul", { class: "key" });
  const finder = h("input", { type: "search", id: "finder", autocomplete: "off" });
  const find = h("p", { class: "find", hidden: true }, h("label", { for: "finder" }, "Find an offer"), finder);
  const body = h("tbody");
  const caption = h("caption");
  const head = h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col", class: TEXTUAL.has(name) ? null : "number" }, name))));
  const table = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Offers, table" }, h("table", { id: "offers-table" }, caption, head, body));
  const filled = h("div", {}, h("figure", {}, key, chart), find, table);
  const rows = new Map();
  let last = null;
  fill(root, empty, filled);
  finder.addEventListener("input", () => last && draw(last));

  function draw(world) {
    last = world;
    const arms = [...(world.state?.data ?? [])].sort((a, b) => b.mean - a.mean || a.offerId.localeCompare(b.offerId));
    empty.hidden = arms.length > 0;
    filled.hidden = arms.length === 0;
    if (arms.length === 0) return say(empty, emptyText(world));
    const { modelType } = world.state;
    const best = arms.slice(0, DRAWN);
    drawCurves(chart, key, world, best, modelType);
    find.hidden = arms.length <= FINDER_FROM;
    const wanted = finder.value.trim().toLowerCase();
    const found = arms.filter((arm) => `${nameOf(world, arm.offerId)} ${arm.offerId}`.toLowerCase().includes(wanted));
    const shown = found.slice(0, ROWS);
    say(caption, captionText(world, found.length, shown.length, arms.length));
    const common = { range: range(arms), modelType, shares: new Map(traffic(world).map((row) => [row.id, row.share])), now: Date.now() };
    const order = shown.map((arm) => {
      if (!rows.has(arm.offerId)) rows.set(arm.offerId, makeRow(arm.offerId));
      rows.get(arm.offerId).update(world, arm, common);
      return rows.get(arm.offerId).row;
    });
    if (order.length !== body.children.length || order.some((row, i) => row !== body.children[i])) body.replaceChildren(...order);
  }
  return draw;
}

function emptyText(world) {
  if (world.state === null) return "Reading …";
  if (world.names.size === 0) return "This tenant has no offers yet. `rewardloop catalog load FILE` or PUT /api/v1/catalog makes some.";
  return `This tenant has ${count(world.names.size)} offers and no outcomes yet. The first one, by POST /api/v1/respond, shows here.`;
}

function captionText(world, found, shown, all) {
  const model = shownModel(world);
  const some = shown < found ? `, the best ${count(shown)}` : "";
  const measure = trafficMeasure(world) === "impression" ? "deliveries" : "outcomes";
  return `${count(found)} of ${count(all)} offers${some}; model ${model?.key ?? ""}. Best mean first. Traffic: share of the ${measure} of the last 30 days.`;
}

/** Draw the posteriors of some arms over one axis, with their names. */
export function drawCurves(chart, key, world, arms, modelType, height = 230) {
  const xs = range(arms);
  const curves = arms.flatMap((arm) => {
    const density = posterior(modelType, arm);
    if (density === null) return [];
    const [colour, dash] = [colourOf(world, arm.offerId), dashOf(world, arm.offerId)];
    return [{ points: sampled(density, peak(arm, xs), 120), colour, dash, fill: true, marker: arm.mean }];
  });
  const name = `Posterior of ${arms.map((arm) => `${nameOf(world, arm.offerId)}: ${number(arm.mean)}`).join("; ")}`;
  const plain = (value) => String(Number(value.toPrecision(6)));
  fill(chart, curves.length ? lines(curves, { width: chart.clientWidth, height, name, xs, xFormat: plain }) : null);
  fill(key, arms.map((arm) => legendItem(world, arm.offerId)));
}

function makeRow(offerId) {
  const name = h("th", { scope: "row" });
  const cells = COLUMNS.slice(1).map((column) => h("td", { class: TEXTUAL.has(column) ? null : "number" }));
  const [curve, mean, spread, pulls, positives, negatives, share, recent, lastAt] = cells;
  const row = h("tr", { "data-offer": offerId }, name, cells);
  const meanData = h("data");
  fill(mean, meanData);

  function update(world, arm, common) {
    const density = posterior(common.modelType, arm);
    say(name, nameOf(world, offerId));
    const size = { width: 132, height: 30, colour: colourOf(world, offerId) };
    fill(curve, intervalBar(arm, common.range, { ...size, curve: density && sampled(density, peak(arm, common.range), 40) }));
    meanData.value = String(arm.mean);
    say(meanData, number(arm.mean));
    say(spread, interval(arm.ciLower, arm.ciUpper));
    say(pulls, count(arm.pulls));
    say(positives, count(arm.positives));
    say(negatives, count(arm.negatives));
    say(share, percent(common.shares.get(offerId) ?? 0));
    say(lastAt, arm.lastRewardAt === null ? "–" : age(arm.lastRewardAt, common.now));
    fill(recent, recentRewards(world, offerId));
  }
  return { row, update };
}

function recentRewards(world, offerId) {
  const own = (world.history ?? []).filter((event) => event.offerId === offerId && event.classification !== "neutral").slice(0, RECENT);
  if (own.length === 0) return data(null);
  const good = own.filter((event) => event.classification === "positive").length;
  const name = `${good} positive and ${own.length - good} negative of the last ${own.length}, the newest first`;
  const marks = own.map((event, i) => {
    const up = event.classification === "positive";
    return s("rect", { class: up ? "up" : "down", x: 9 * i, y: up ? 3 : 11, width: 6, height: 8 });
  });
  return s("svg", { width: 9 * RECENT, height: 22, role: "img", "aria-label": name }, s("line", { class: "grid-line", x1: 0, x2: 9 * RECENT, y1: 11, y2: 11 }), marks);
}
