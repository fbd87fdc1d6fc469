// The public API as the console reads it, directly with a key or through the mirror of the dashboard's login.

const TIMEOUT_MS = 8000;
const HEADER = /^[\x21-\x7e]+$/; // what a header can hold of a tenant or key

/** Something that keeps an answer from coming. `kind`: denied, forbidden, missing, limited, unavailable, away. */
export class Trouble extends Error {
  constructor(kind, message, waitMs = 0) {
    super(message);
    this.kind = kind;
    this.waitMs = waitMs;
  }
}

/** Reads for one tenant. */
export class Api {
  /** `base` is /api/v1 or /console/read; `key` is null where a cookie opens the door. */
  constructor(base, tenant, key = null) {
    this.base = base;
    this.tenant = tenant;
    this.key = key;
  }

  /** Return the JSON at a path under the base. Throws Trouble. */
  async get(path) {
    const answer = await this.#fetch(this.base + path, this.#headers());
    if (answer.ok) return answer.json();
    throw await troubleOf(answer);
  }

  /** Return all items of a list, up to `most`. Throws Trouble. */
  async all(path, most) {
    const items = [];
    let cursor = null;
    do {
      const query = new URLSearchParams({ limit: "100", ...(cursor === null ? {} : { cursor }) });
      const page = await this.get(`${path}?${query}`);
      items.push(...page.data);
      cursor = page.pagination.nextCursor;
    } while (cursor !== null && items.length < most);
    return items;
  }

  /** Return the text of an operations route, and its JSON also where it says 503. Throws Trouble. */
  async text(path) {
    const answer = await this.#fetch(path, {});
    if (answer.ok || answer.status === 503) return answer.text();
    throw await troubleOf(answer);
  }

  #headers() {
    if (this.tenant === null) return {};
    if (!HEADER.test(this.tenant) || (this.key !== null && !HEADER.test(this.key)))
      throw new Trouble("denied", "A tenant or key like this does not exist.");
    return { "X-Tenant-Id": this.tenant, ...(this.key === null ? {} : { Authorization: `Bearer ${this.key}` }) };
  }

  async #fetch(url, headers) {
    try {
      return await fetch(url, { headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    } catch {
      throw new Trouble("away", "The service does not answer.");
    }
  }
}

async function troubleOf(answer) {
  const waitMs = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
  const kinds = { 401: "denied", 403: "forbidden", 404: "missing", 429: "limited", 503: "unavailable" };
  const kind = kinds[answer.status] ?? "away";
  return new Trouble(kind, await said(answer), waitMs);
}

async function said(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `The service answered ${answer.status}.`; // something in between, not the service
  }
}
