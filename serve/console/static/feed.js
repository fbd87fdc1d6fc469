// What the console knows of a tenant, kept new by polling. Views read it; nobody else writes it.

import { h } from "./dom.js";
import { Rates, digest, parse } from "./prometheus.js";

const DAYS = 30;
const TRACE = 240; // means of the last four minutes
const OFFERS = 2000;
const RESULTS = 5; // experiments whose results are asked for
const KINDS = 7; // colours

/** Return an empty world for a tenant: what is null is not known yet. */
export function emptyWorld() {
  return {
    names: new Map(),
    colours: new Map(),
    models: null,
    modelId: null,
    state: null,
    trace: [],
    daily: null,
    position: null,
    history: null,
    rates: new Rates(),
    service: null,
    lags: [],
    experiments: null,
  };
}

/** Return the jobs that fill a world, by name, from `api`. */
export function jobsFor(api, world) {
  return {
    offers: { everyMs: 30000, run: async () => readOffers(api, world) },
    models: { everyMs: 5000, run: async () => readModels(api, world) },
    state: { everyMs: 1000, run: async () => readState(api, world) },
    daily: { everyMs: 4000, run: async () => readDaily(api, world) },
    history: { everyMs: 2000, run: async () => { world.history = (await api.get("/interaction-history?limit=60")).data; } },
    metrics: { everyMs: 1000, run: async () => world.rates.take(digest(parse(await api.text("/-/metrics"))), performance.now()) },
    service: { everyMs: 2000, run: async () => readService(api, world) },
    experiments: { everyMs: 10000, run: async () => readExperiments(api, world) },
  };
}

/** Return the model that is shown: the one chosen, else the champion. */
export function shownModel(world) {
  const models = world.models ?? [];
  return models.find((one) => one.id === world.modelId) ?? models.find((one) => one.status === "champion") ?? models[0] ?? null;
}

/** Return an offer's name as people call it. */
export function nameOf(world, offerId) {
  return offerId === null ? "no offer" : world.names.get(offerId) ?? offerId;
}

/** Return an offer's colour class, the same as long as the page is open; the first to come get the clearest. */
export function colourOf(world, offerId) {
  if (!world.colours.has(offerId)) world.colours.set(offerId, world.colours.size);
  return `c${world.colours.get(offerId) % KINDS}`;
}

/** Return the dash of an offer's lines: colours come round again, with another dash. */
export function dashOf(world, offerId) {
  colourOf(world, offerId);
  return Math.floor(world.colours.get(offerId) / KINDS) % 3;
}

/** Return what an offer is drawn as and called, for a legend. */
export function legendItem(world, offerId) {
  return h("li", {}, h("span", { class: `${colourOf(world, offerId)} k${dashOf(world, offerId)}` }), nameOf(world, offerId));
}

/** Return each offer's counts over all days, the busiest first: [{id, events, positive, negative, share}]. */
export function traffic(world) {
  const sums = new Map();
  for (const row of world.daily ?? []) {
    const sum = sums.get(row.id) ?? { id: row.id, impression: 0, total: 0, positive: 0, negative: 0 };
    for (const name of ["impression", "total", "positive", "negative"]) sum[name] += row[name];
    sums.set(row.id, sum);
  }
  const measure = trafficMeasure(world);
  const rows = [...sums.values()].map((row) => ({ ...row, events: row[measure] }));
  const whole = rows.reduce((total, row) => total + row.events, 0);
  return rows
    .map((row) => ({ ...row, share: whole ? row.events / whole : 0 }))
    .sort((a, b) => b.events - a.events || (a.id ?? "").localeCompare(b.id ?? ""));
}

/** Return what traffic is counted by: deliveries where there are any, else outcomes. */
export function trafficMeasure(world) {
  return (world.daily ?? []).some((row) => row.impression > 0) ? "impression" : "total";
}

async function readOffers(api, world) {
  const offers = await api.all("/offers", OFFERS);
  world.names = new Map(offers.map((offer) => [offer.id, offer.name]));
}

async function readModels(api, world) {
  world.models = await api.all("/algorithm-models", 100);
}

async function readState(api, world) {
  if (world.models === null) await readModels(api, world);
  const model = shownModel(world);
  if (model === null) return;
  const state = await api.get(`/algorithm-models/${encodeURIComponent(model.id)}/state`);
  if (shownModel(world)?.id !== model.id) return; // another was chosen meanwhile
  if (world.state?.modelId !== state.modelId) world.trace = [];
  world.state = state;
  const means = Object.fromEntries(state.data.map((arm) => [arm.offerId, arm.mean]));
  world.trace = [...world.trace, { time: Date.now(), means }].slice(-TRACE);
}

async function readDaily(api, world) {
  const answer = await api.get(`/interaction-summary?groupBy=offer&days=${DAYS}&by=day`);
  world.daily = answer.data;
  world.position = answer.position;
  for (const row of traffic(world)) colourOf(world, row.id);
}

async function readService(api, world) {
  world.service = JSON.parse(await api.text("/-/readyz"));
  const most = Math.max(0, ...world.service.learners.map((learner) => learner.lagMs));
  world.lags = [...world.lags, { time: Date.now(), lagMs: most }].slice(-TRACE);
}

async function readExperiments(api, world) {
  const order = ["active", "paused", "completed"];
  const found = (await api.all("/experiments", 100)).filter((one) => order.includes(one.status));
  found.sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
  world.experiments = await Promise.all(
    found.slice(0, RESULTS).map(async (one) => ({ ...one, results: await api.get(`/experiments/${encodeURIComponent(one.id)}/results`) })),
  );
}
