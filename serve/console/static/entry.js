// The way in with a tenant's key.

import { Api } from "./api.js";
import { say } from "./dom.js";
import { keep } from "./session.js";

const SAID = {
  denied: "The service does not know this key for this tenant. Tenant and key must belong together; a revoked or expired key opens nothing.",
  forbidden: "This key may not read. Make one with the scope read: rewardloop keys create --tenant ID --scope read",
  limited: "Too many requests for this tenant just now. Try again in a minute.",
  unavailable: "The service is there but cannot answer right now: its storage or learners are away. Try again.",
  away: "The service does not answer. Is it running? rewardloop status tells.",
};

/** Wire up the form; `onEntered(credentials)` is called once a key has opened the door. */
export function entryForm(form, onEntered) {
  const { tenant, key, remember } = form.elements;
  const error = form.querySelector("[role=alert]");
  const button = form.querySelector("button");

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = { tenant: tenant.value.trim(), key: key.value.trim() };
    if (!given.tenant || !given.key) {
      say(error, given.tenant ? "The key is missing." : "The tenant is missing.");
      (given.tenant ? key : tenant).focus();
      return;
    }
    button.disabled = true;
    say(error, "");
    try {
      await new Api("/api/v1", given.tenant, given.key).get("/algorithm-models?limit=1");
      keep(given, remember.checked);
      key.value = "";
      onEntered(given);
    } catch (trouble) {
      say(error, SAID[trouble.kind] ?? trouble.message);
      key.focus();
    } finally {
      button.disabled = false;
    }
  });
}
