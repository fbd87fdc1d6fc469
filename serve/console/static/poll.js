// Jobs that are done again and again while the page is seen: each at its own pace, slower after trouble.

const LONGEST_MS = 15000;

/** Runs jobs `{name, everyMs, run}`; tells `onDone(name)` and `onTrouble(name, trouble, waitMs)`. */
export class Poller {
  #jobs;
  #timers = new Map();
  #failures = new Map();
  #running = false;
  #onDone;
  #onTrouble;

  constructor(jobs, onDone, onTrouble) {
    this.#jobs = jobs;
    this.#onDone = onDone;
    this.#onTrouble = onTrouble;
    document.addEventListener("visibilitychange", this.#seen);
  }

  start() {
    this.#running = true;
    if (!document.hidden) this.now();
  }

  stop() {
    this.#running = false;
    document.removeEventListener("visibilitychange", this.#seen);
    this.#pause();
  }

  /** Do all jobs at once, then each at its pace. */
  now() {
    this.#pause();
    for (const job of this.#jobs) this.#do(job);
  }

  #seen = () => {
    if (document.hidden) this.#pause();
    else if (this.#running) this.now();
  };

  #pause() {
    for (const timer of this.#timers.values()) if (typeof timer === "number") clearTimeout(timer);
    this.#timers.clear();
  }

  async #do(job) {
    const mark = Symbol(job.name); // of two rounds of one job only the newer goes on
    this.#timers.set(job.name, mark);
    let waitMs = job.everyMs;
    try {
      await job.run();
      this.#failures.delete(job.name);
      if (this.#running) this.#onDone(job.name);
    } catch (trouble) {
      const failures = (this.#failures.get(job.name) ?? 0) + 1;
      this.#failures.set(job.name, failures);
      waitMs = Math.max(trouble.waitMs ?? 0, Math.min(LONGEST_MS, job.everyMs * 2 ** failures));
      if (this.#running) this.#onTrouble(job.name, trouble, waitMs);
    }
    if (this.#running && !document.hidden && this.#timers.get(job.name) === mark)
      this.#timers.set(job.name, setTimeout(() => this.#do(job), waitMs));
  }
}
