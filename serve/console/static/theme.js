// Light or dark: what the page was asked for, else the person's choice, else the system's. Runs before anything shows.

import { choice, choose } from "./session.js";

const root = document.documentElement;
const system = window.matchMedia("(prefers-color-scheme: dark)");

/** Return what is shown now. */
export function shown() {
  return root.dataset.theme || (system.matches ? "dark" : "light");
}

/** Show the other one from now on. */
export function toggle() {
  root.dataset.theme = shown() === "dark" ? "light" : "dark";
  choose("theme", root.dataset.theme);
}

if (!root.dataset.theme) root.dataset.theme = choice("theme") ?? "";
