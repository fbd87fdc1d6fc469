// Elements made without markup: every word from outside becomes a text node, so none can be code.

const SVG = "http://www.w3.org/2000/svg";

/** Return an HTML element; `attributes` that are null or false are left out, `class` and `data-…` are as in markup. */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Return an SVG element. */
export function s(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** Put text into a node if it is not there already, so that nothing is announced or selected anew. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Put children in the place of those a node has. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter((child) => child !== null));
}

/** Return a cell's number: as people read it, with all its digits in `value` for programs. */
export function data(value, text) {
  return value === null || value === undefined
    ? h("span", { class: "none" }, "–")
    : h("data", { value: String(value) }, text);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (value !== null && value !== false && value !== undefined)
      element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}
