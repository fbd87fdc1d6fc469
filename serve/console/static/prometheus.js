// Prometheus's text format, and rates from counters of several replicas, of which each scrape meets one.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const STALE_MS = 15000; // a replica that was not met for so long has no rate
const KEPT = 150; // points of the live curves: at one a second, two and a half minutes

/** Return the samples of a scrape: [{name, labels, value}]. */
export function parse(text) {
  return text
    .split("\n")
    .map((line) => LINE.exec(line))
    .filter((match) => match !== null)
    .map(([, name, labels, value]) => ({
      name,
      labels: Object.fromEntries([...(labels ?? "").matchAll(LABEL)].map((found) => [found[1], found[2]])),
      value: Number(value),
    }));
}

/** Return what the console shows of a scrape: counts by what happened, and the buckets of answering times. */
export function digest(samples) {
  const found = { replica: "", recorded: 0, duplicates: 0, refused: 0, decisions: 0, requests: 0, buckets: new Map() };
  for (const { name, labels, value } of samples) {
    if (labels.replica) found.replica = labels.replica;
    const answers = labels.route?.startsWith("/api/v1/re") ?? false; // respond, respond/bulk, recommend
    if (name === "rewardloop_outcomes_total") {
      if (labels.status === "recorded") found.recorded += value;
      else if (labels.status === "duplicate") found.duplicates += value;
      else found.refused += value;
    } else if (name === "rewardloop_decisions_total") found.decisions += value;
    else if (name === "rewardloop_http_requests_total" && labels.route.startsWith("/api/")) found.requests += value;
    else if (name === "rewardloop_http_request_seconds_bucket" && answers) {
      const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
      found.buckets.set(bound, (found.buckets.get(bound) ?? 0) + value);
    }
  }
  return found;
}

const COUNTS = ["recorded", "duplicates", "refused", "decisions", "requests"];

/** Rates of the whole service from scrapes of one replica at a time. */
export class Rates {
  #replicas = new Map();
  points = []; // [{time, recorded, duplicates, …}], a second each

  /** Take a scrape made at `time` (ms). */
  take(found, time) {
    const known = this.#replicas.get(found.replica);
    const restarted = known !== undefined && COUNTS.some((name) => found[name] < known.last[name]);
    if (known === undefined || restarted) this.#replicas.set(found.replica, { first: found, last: found, time, rates: null });
    else if (time > known.time) {
      const seconds = (time - known.time) / 1000;
      const rates = Object.fromEntries(COUNTS.map((name) => [name, (found[name] - known.last[name]) / seconds]));
      this.#replicas.set(found.replica, { ...known, last: found, time, rates });
    }
    const fresh = [...this.#replicas.values()].filter((one) => one.rates && time - one.time < STALE_MS);
    const sums = COUNTS.map((name) => [name, fresh.reduce((sum, one) => sum + one.rates[name], 0)]);
    this.points = [...this.points, { time, ...Object.fromEntries(sums) }].slice(-KEPT);
  }

  /** The rates now, null before anything is known. */
  get now() {
    return this.points.at(-1) ?? null;
  }

  /** Counts since the replicas that were met have started. */
  get totals() {
    const all = [...this.#replicas.values()];
    return Object.fromEntries(COUNTS.map((name) => [name, all.reduce((sum, one) => sum + one.last[name], 0)]));
  }

  /** Cumulative buckets of answering times, since the page was opened; since the start where nothing came since. */
  get buckets() {
    const all = [...this.#replicas.values()];
    const bounds = [...new Set(all.flatMap((one) => [...one.last.buckets.keys()]))].sort((a, b) => a - b);
    const since = (base) =>
      bounds.map((bound) => [
        bound,
        all.reduce((sum, one) => sum + (one.last.buckets.get(bound) ?? 0) - (base ? one.first.buckets.get(bound) ?? 0 : 0), 0),
      ]);
    const fresh = since(true);
    return (fresh.at(-1)?.[1] ?? 0) >= 20 ? fresh : since(false);
  }
}
