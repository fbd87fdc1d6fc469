// Which tenants the dashboard's login can see, and which of them to show.

import { Api } from "./api.js";
import { choice } from "./session.js";

const MOST = 5000; // tenants that a list to choose from is still good for
const ASKED = 8; // tenants that are asked when something happened last

/** Return {ids, shown}: the active tenants, and the one last chosen, else the one where something happened last. */
export async function visibleTenants(base) {
  const all = await new Api(base, null).all("/tenants", MOST);
  const ids = all.filter((tenant) => tenant.status === "active").map((tenant) => tenant.id);
  if (ids.length === 0) throw new Error("There is no tenant yet. `rewardloop tenants create ID` makes one.");
  const kept = choice("tenant");
  return { ids, shown: ids.includes(kept) ? kept : await liveliest(base, ids) };
}

async function liveliest(base, ids) {
  if (ids.length === 1) return ids[0];
  const latest = await Promise.all(
    ids.slice(0, ASKED).map(async (id) => {
      const [event] = (await new Api(base, id).get("/interaction-history?limit=1")).data;
      return { id, time: event?.recordedAt ?? "" };
    }),
  );
  return latest.reduce((best, one) => (one.time > best.time ? one : best)).id;
}
