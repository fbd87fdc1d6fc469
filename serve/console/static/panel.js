// One figure, for the small frames of Ray's dashboard.

import { intervalBar } from "./charts.js";
import { Console } from "./console.js";
import { data, fill, h, say } from "./dom.js";
import { colourOf, legendItem, nameOf, traffic } from "./feed.js";
import { count, number, rate } from "./format.js";
import { peak, posterior, range, sampled } from "./stats.js";
import { visibleTenants } from "./tenants.js";
import "./theme.js";
import { allDays, drawTrace, shareChart } from "./view-learning.js";
import { LATENCY_HINT, lagChart, latencyChart, latencyItems, legend, rateChart, readinessText, totalsText } from "./view-service.js";
import { tailView } from "./view-tail.js";

const BEST = 6;
const LEAST = 110; // height of a chart that still tells something
const RETRY_MS = 5000;

const FIGURES = {
  best: { title: "Best offers, by posterior mean", needs: ["state", "offers"], make: best },
  means: { title: "Posterior means, live", needs: ["state", "offers"], make: means },
  share: { title: "Share of traffic by day", needs: ["daily", "offers"], make: share },
  learners: { title: "Learners", needs: ["service"], make: learners },
  outcomes: { title: "Outcomes a second", needs: ["metrics"], make: (root) => rates(root, ["recorded", "decisions"]) },
  refused: { title: "Duplicates and refused a second", needs: ["metrics"], make: (root) => rates(root, ["duplicates", "refused"]) },
  requests: { title: "Requests a second", needs: ["metrics"], make: (root) => rates(root, ["requests"]) },
  latency: { title: "Time to answer", needs: ["metrics"], make: latency },
  tail: { title: "Newest outcomes", needs: ["history", "offers"], make: (root) => tailView(root, 8) },
};

function heightOf(chart) {
  return Math.max(LEAST, chart.clientHeight);
}

function best(root) {
  const empty = h("p", { class: "empty" }, "No outcome yet.");
  const body = h("tbody");
  const names = ["Offer", "Posterior", "Mean", "Pulls"];
  const head = h("thead", {}, h("tr", {}, names.map((name, i) => h("th", { scope: "col", class: i > 1 ? "number" : null }, name))));
  fill(root, empty, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Best offers" }, h("table", {}, head, body)));
  return (world) => {
    const arms = [...(world.state?.data ?? [])].sort((a, b) => b.mean - a.mean).slice(0, BEST);
    empty.hidden = arms.length > 0;
    body.parentElement.hidden = arms.length === 0;
    if (arms.length > 0) fill(body, arms.map((arm) => line(world, arm, range(arms))));
  };
}

function line(world, arm, common) {
  const density = posterior(world.state.modelType, arm);
  const curve = density && sampled(density, peak(arm, common), 40);
  const bar = intervalBar(arm, common, { width: 110, height: 26, colour: colourOf(world, arm.offerId), curve });
  const cells = [data(arm.mean, number(arm.mean)), count(arm.pulls)];
  return h("tr", { "data-offer": arm.offerId }, h("th", { scope: "row" }, nameOf(world, arm.offerId)), h("td", {}, bar), cells.map((cell) => h("td", { class: "number" }, cell)));
}

function means(root) {
  const key = h("ul", { class: "key" });
  const chart = h("div", { class: "chart" });
  fill(root, key, chart);
  return (world) => {
    const arms = [...(world.state?.data ?? [])].sort((a, b) => b.mean - a.mean).slice(0, BEST);
    if (arms.length === 0) return fill(chart, h("p", { class: "empty" }, "No outcome yet."));
    fill(key, arms.map((arm) => legendItem(world, arm.offerId)));
    return drawTrace(chart, world, BEST, heightOf(chart));
  };
}

function share(root) {
  const key = h("ul", { class: "key" });
  const chart = h("div", { class: "chart" });
  fill(root, key, chart);
  return (world) => {
    const offers = traffic(world).slice(0, BEST).map((row) => row.id);
    if (offers.length === 0) return fill(chart, h("p", { class: "empty" }, "No outcome in the last 30 days."));
    fill(key, offers.map((id) => legendItem(world, id)));
    return fill(chart, shareChart(world, offers, allDays(world.daily), chart.clientWidth, heightOf(chart)));
  };
}

function learners(root) {
  const items = h("dl", { class: "figures" });
  const chart = h("div", { class: "chart" });
  const text = h("p", { class: "hint" });
  fill(root, items, chart, text);
  return (world) => {
    const all = world.service?.learners ?? [];
    fill(items, all.slice(0, BEST).flatMap((one) => [
      h("dt", {}, one.name),
      h("dd", {}, `${count(one.position)} entries`, h("span", { class: "hint" }, ` ${count(one.behind)} behind, ${count(one.lagMs)} ms`)),
    ]));
    fill(chart, lagChart(world, chart.clientWidth, heightOf(chart)));
    say(text, `Lag of the slowest, ms. ${readinessText(world)}`);
  };
}

function rates(root, names) {
  const chart = h("div", { class: "chart" });
  const now = h("p", { class: "figure" });
  const text = h("p", { class: "hint" });
  fill(root, now, legend(names), chart, text);
  return (world) => {
    const rated = world.rates.now;
    say(now, rated ? names.map((name) => rate(rated[name])).join(" · ") : "–");
    fill(chart, rateChart(world, names, chart.clientWidth, heightOf(chart)));
    say(text, totalsText(world));
  };
}

function latency(root) {
  const items = h("dl", { class: "figures across" });
  const chart = h("div", { class: "chart" });
  fill(root, items, chart, h("p", { class: "hint" }, LATENCY_HINT));
  return (world) => {
    fill(items, latencyItems(world));
    fill(chart, latencyChart(world, chart.clientWidth, heightOf(chart)));
  };
}

const root = document.getElementById("panel");
const status = document.getElementById("status");
const figure = FIGURES[root.dataset.figure];

function stop(text) {
  fill(root, h("p", { class: "empty" }, text));
}

async function start() {
  say(document.getElementById("title"), figure.title);
  try {
    const { shown: tenant } = await visibleTenants("/console/read");
    say(document.getElementById("whose"), figure.needs.some((job) => ["state", "daily", "history"].includes(job)) ? tenant : "");
    const draw = figure.make(root);
    new Console("/console/read", { tenant }, [{ root, needs: figure.needs, draw }], status, () => stop("The dashboard's login has ended: log in again.")).start();
  } catch (trouble) {
    if (trouble.kind === "denied") return stop(`Log in to the dashboard under the host name ${location.hostname}: only then does it show this figure.`);
    stop(`${trouble.message} Trying again.`);
    setTimeout(start, RETRY_MS);
  }
  return undefined;
}

start();
window.addEventListener("storage", () => location.reload()); // another tenant was chosen on the console's page
