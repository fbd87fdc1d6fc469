// The console's page: the way in, the choices on top, the sections.

import { Console } from "./console.js";
import { fill, h, say } from "./dom.js";
import { entryForm } from "./entry.js";
import { shownModel } from "./feed.js";
import { choose, forget, load } from "./session.js";
import { visibleTenants } from "./tenants.js";
import { shown, toggle } from "./theme.js";
import { tiles } from "./tiles.js";
import { experimentsView } from "./view-experiments.js";
import { learningView } from "./view-learning.js";
import { modelsView } from "./view-models.js";
import { offersView } from "./view-offers.js";
import { serviceView } from "./view-service.js";
import { tailView } from "./view-tail.js";

const VIEWS = {
  offers: [offersView, ["state", "daily", "history", "offers", "models"]],
  learning: [learningView, ["state", "daily", "offers"]],
  models: [modelsView, ["models"]],
  experiments: [experimentsView, ["experiments"]],
  service: [serviceView, ["metrics", "service"]],
  tail: [tailView, ["history", "offers", "daily"]],
};
const RETRY_MS = 3000;
const NO_LOGIN =
  "Ray's dashboard has not logged this browser in under this host name. Log in to the dashboard, and open it under the same host name as this page " +
  `(${location.hostname}): the login link that \`rewardloop up\` prints does both. Or come in with a key:`;

const find = (id) => document.getElementById(id);
const [status, entry, figures, tenants, models] = ["status", "entry", "figures", "tenant", "model"].map(find);
let live = null;

function start(base, credentials, onDenied) {
  live?.stop();
  entry.hidden = true;
  figures.hidden = false;
  for (const element of document.querySelectorAll(".inside")) element.hidden = false;
  const top = find("tiles");
  const views = [...figures.querySelectorAll("section")].map((section) => {
    const [view, needs] = VIEWS[section.id];
    const root = section.querySelector(".body");
    return { root, needs, draw: view(root) };
  });
  views.push({ root: top, needs: ["metrics", "state", "daily", "service", "models"], draw: tiles(top) });
  views.push({ root: models, needs: ["models"], draw: drawModels });
  live = new Console(base, credentials, views, status, onDenied);
  live.start();
}

function drawModels(world) {
  const all = world.models ?? [];
  const wanted = all.map((model) => `${model.id} ${model.status}`).join();
  if (models.dataset.all !== wanted) {
    models.dataset.all = wanted;
    fill(models, all.map((model) => h("option", { value: model.id }, `${model.key} (${model.status})`)));
  }
  models.value = shownModel(world)?.id ?? "";
}

function ask(reason, isError = false) {
  live?.stop();
  live = null;
  figures.hidden = true;
  entry.hidden = false;
  for (const element of document.querySelectorAll(".inside")) element.hidden = true;
  const alert = entry.querySelector("[role=alert]");
  say(find("reason"), isError ? "" : reason);
  say(alert, isError ? reason : "");
  say(status, "");
  delete status.dataset.state;
  entry.elements.tenant.focus();
}

function enterByKey(credentials) {
  fill(tenants, h("option", { value: credentials.tenant }, credentials.tenant));
  find("leave").hidden = false;
  start("/api/v1", credentials, () => {
    forget();
    ask("The key opens nothing any more: it was revoked, has expired, or the tenant was disabled.", true);
  });
}

async function enterByLogin() {
  say(status, "Reading …");
  try {
    const { ids, shown: first } = await visibleTenants("/console/read");
    fill(tenants, ids.map((id) => h("option", { value: id }, id)));
    tenants.value = first;
    tenants.onchange = () => {
      choose("tenant", tenants.value);
      startByLogin();
    };
    startByLogin();
  } catch (trouble) {
    if (trouble.kind === "denied") return ask(NO_LOGIN);
    status.dataset.state = "away";
    say(status, `${trouble.message} Trying again.`);
    setTimeout(enterByLogin, RETRY_MS);
  }
  return undefined;
}

function startByLogin() {
  start("/console/read", { tenant: tenants.value }, () => ask(NO_LOGIN));
}

function nameTheme() {
  find("theme").textContent = shown() === "dark" ? "Light" : "Dark";
}

models.addEventListener("change", () => live?.choose(models.value));
find("leave").addEventListener("click", () => {
  forget();
  ask("You have signed out; this browser has forgotten the key.");
});
find("theme").addEventListener("click", () => {
  toggle();
  nameTheme();
});
nameTheme();
entryForm(entry, (credentials) => {
  enterByKey(credentials);
  find("main").focus({ preventScroll: true }); // the field that had it is gone
});

const known = load();
if (document.documentElement.dataset.access === "dashboard") enterByLogin();
else if (known) enterByKey(known);
else ask("The console reads through the public API with a key of yours; nothing is shown without one.");
