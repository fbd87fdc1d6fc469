// What the person has told the console: tenant and key, and the choices that are kept.

const KEY = "rewardloop.session";
const CHOICES = "rewardloop.choices";

/** Return {tenant, key}, null if nobody has logged in. */
export function load() {
  return read(sessionStorage, KEY) ?? read(localStorage, KEY);
}

/** Keep tenant and key until the tab closes, or for good. */
export function keep(credentials, remember) {
  write(remember ? localStorage : sessionStorage, KEY, credentials);
}

/** Forget tenant and key everywhere. */
export function forget() {
  for (const storage of [sessionStorage, localStorage]) storage.removeItem(KEY);
}

/** Return a choice (theme, tenant), null if none was made. */
export function choice(name) {
  return read(localStorage, CHOICES)?.[name] ?? null;
}

/** Keep a choice. */
export function choose(name, value) {
  write(localStorage, CHOICES, { ...read(localStorage, CHOICES), [name]: value });
}

function read(storage, name) {
  try {
    return JSON.parse(storage.getItem(name));
  } catch {
    return null; // no storage in this frame, or not ours
  }
}

function write(storage, name, value) {
  try {
    storage.setItem(name, JSON.stringify(value));
  } catch {
    // a browser that keeps nothing asks again next time
  }
}
