/** Talks to a running service through the generated client, and prints what it saw as one line of JSON. */

import {
  type Acknowledgement,
  CatalogueApi,
  Configuration,
  HistoryApi,
  ModelsApi,
  RecommendationsApi,
  RespondApi,
  ResponseError,
  TenantsApi,
} from "./client";

const [url, tenant, key] = process.argv.slice(2);
if (!url || !tenant || !key) {
  throw new Error("usage: smoke URL TENANT KEY");
}
const configuration = new Configuration({
  basePath: url,
  accessToken: key,
  headers: { "X-Tenant-Id": tenant },
});
const respond = new RespondApi(configuration);

async function refused(): Promise<{ status: number; message: string }> {
  const body = { customerId: "c1", outcome: "no-such-outcome", creativeId: "cr1", idempotencyKey: "smoke-3" };
  try {
    await respond.respond({ respondBody: body });
  } catch (error) {
    if (error instanceof ResponseError) {
      const told = await error.response.json();
      return { status: error.response.status, message: told.error.message };
    }
    throw error;
  }
  throw new Error("it was not refused");
}

async function main(): Promise<object> {
  const outcome = {
    customerId: "c1",
    outcome: "click",
    creativeId: "cr1",
    idempotencyKey: "smoke-1",
    timestamp: new Date("2026-03-16T14:35:00Z"),
    attributes: { tier: "gold", age: 38, fresh: true },
    context: { page: "home" },
  };
  const first = await respond.respondRaw({ respondBody: outcome });
  const recorded: Acknowledgement = await first.value();
  const again: Acknowledgement = await respond.respond({ respondBody: outcome });
  const unknown = { ...outcome, creativeId: "none", idempotencyKey: "smoke-2" };
  const bulk = await respond.respondBulk({ respondBulkBody: { outcomes: [outcome, unknown] } });
  const position = Number(first.raw.headers.get("X-Log-Position"));
  const recommended = await new RecommendationsApi(configuration).recommend({
    xMinLogPosition: position,
    recommendBody: { customerId: "c1", limit: 2, segments: ["new"] },
  });
  const state = await new ModelsApi(configuration).getModelState({ modelId: "model_default", offerId: "o1" });
  const events = await new HistoryApi(configuration).listEvents({ customerId: "c1" });
  const offers = await new CatalogueApi(configuration).listOffers({ limit: 1 });
  const settings = await new TenantsApi(configuration).getSettings();
  return {
    statuses: [first.raw.status, recorded.status, again.status],
    sameId: recorded.interactionId === again.interactionId,
    year: recorded.timestamp.getUTCFullYear(),
    bulk: bulk.results.map((row) => [row.status, row.error?.code ?? null]),
    decisions: recommended.decisions.map((one) => [one.rank, one.offerId, one.propensity > 0]),
    arm: state.data.map((arm) => [arm.offerId, arm.positives, arm.parameters["alpha"]]),
    events: events.data.map((event) => [event.outcome, event.context?.["page"]]),
    offers: [offers.data.length, offers.pagination.hasMore],
    retentionDays: settings.retentionDays,
    refused: await refused(),
  };
}

main().then(
  (seen) => console.log(JSON.stringify(seen)),
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
