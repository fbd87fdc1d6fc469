// A console for one tenant: it polls, draws what has come, and says what is wrong.

import { Api } from "./api.js";
import { say } from "./dom.js";
import { emptyWorld, jobsFor } from "./feed.js";
import { clock } from "./format.js";
import { Poller } from "./poll.js";

const TICK_MS = 500; // between looks at how old things are
const OLD_MS = 5000; // without any answer, and the page says that it shows the past

/** Polls for views and draws them. */
export class Console {
  #poller;
  #views;
  #drawing = new Set();
  #troubles = new Map();
  #answeredAt = null;
  #onDenied;
  #status;
  #watch;
  #ticker;

  /**
   * @param views [{needs: [job…], draw(world), root}]: drawn when a job that they need has brought something
   * @param status the live region
   * @param onDenied called once when the key or the login opens nothing any more
   */
  constructor(base, credentials, views, status, onDenied) {
    this.world = emptyWorld();
    const jobs = jobsFor(new Api(base, credentials.tenant, credentials.key ?? null), this.world);
    const needed = new Set(views.flatMap((view) => view.needs));
    this.#views = views;
    this.#status = status;
    this.#onDenied = onDenied;
    this.#poller = new Poller(
      Object.entries(jobs).filter(([name]) => needed.has(name)).map(([name, job]) => ({ name, ...job })),
      (name) => this.#done(name),
      (name, trouble, waitMs) => this.#failed(name, trouble, waitMs),
    );
    this.#watch = new ResizeObserver(() => this.draw(this.#views));
  }

  start() {
    for (const view of this.#views) this.#watch.observe(view.root);
    this.draw(this.#views);
    this.#poller.start();
    this.#ticker = setInterval(() => this.#tell(), TICK_MS);
  }

  stop() {
    this.#poller.stop();
    this.#watch.disconnect();
    clearInterval(this.#ticker);
  }

  /** Show another model. */
  choose(modelId) {
    Object.assign(this.world, { modelId, state: null, trace: [] });
    this.#poller.now();
  }

  /** Draw views in the next frame, each once. */
  draw(views) {
    if (this.#drawing.size === 0) requestAnimationFrame(() => this.#drawNow());
    for (const view of views) this.#drawing.add(view);
  }

  #drawNow() {
    const views = [...this.#drawing];
    this.#drawing.clear();
    for (const view of views) view.draw(this.world);
  }

  #done(name) {
    this.#answeredAt = Date.now();
    this.#troubles.delete(name);
    this.draw(this.#views.filter((view) => view.needs.includes(name)));
    this.#tell();
  }

  #failed(name, trouble, waitMs) {
    if (trouble.kind === undefined) console.error(trouble); // ours, not the service's
    if (trouble.kind === "denied") {
      this.stop();
      this.#onDenied();
      return;
    }
    this.#troubles.set(name, { trouble, until: Date.now() + waitMs });
    this.#tell();
  }

  #tell() {
    const worst = [...this.#troubles.values()].sort((a, b) => rank(a.trouble) - rank(b.trouble))[0];
    this.#status.dataset.state = worst === undefined ? "live" : worst.trouble.kind;
    if (worst === undefined) return say(this.#status, this.#answeredAt === null ? "Reading …" : "Live");
    const old = this.#answeredAt !== null && Date.now() - this.#answeredAt > OLD_MS;
    const since = !old ? "" : ` The last answer came at ${clock(this.#answeredAt)}; what is shown may be old.`;
    return say(this.#status, `${said(worst.trouble, worst.until)}${since}`);
  }
}

const RANKS = ["away", "unavailable", "forbidden", "limited", "missing"];

function rank(trouble) {
  return RANKS.indexOf(trouble.kind);
}

function said(trouble, until) {
  switch (trouble.kind) {
    case "away":
      return "The service does not answer. Trying again.";
    case "unavailable":
      return "The service cannot answer right now: storage or learners are away. Trying again.";
    case "limited":
      return `This tenant's limit is used up. Going on at ${clock(until)}.`;
    case "forbidden":
      return "This key may not read all that is shown here.";
    default:
      return trouble.message;
  }
}
