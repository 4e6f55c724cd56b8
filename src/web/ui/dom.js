// Building pages from data without ever parsing data as markup: text goes through text nodes only.

/**
 * One element. `props`: `class`, `title`, `on` (event name to handler), `style` (custom property or property to value),
 * everything else becomes an attribute (`false` and `null` leave it out). Children: nodes, strings, numbers or arrays.
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (key === "style") for (const [name, v] of Object.entries(value)) node.style.setProperty(name, v);
    else if (key === "class") node.className = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  append(node, children);
  return node;
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Empties a node and puts the children in. */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/** A notice for something that went wrong: what, and what to do. */
export function failure(error) {
  return el("p", { class: "notice error", role: "alert" },
    el("strong", {}, error.message), error.whatToDo ? ` ${error.whatToDo}` : "");
}

/** 75 seconds as "1 min", and so on up to days. */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

/** An instant as local date and time in the order that nobody reads the other way round: 2026-11-23 15:54. */
export function when(instant) {
  const date = new Date(instant);
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** The colour of a structure as CSS, from red, green, blue. */
export function css([r, g, b], alpha = 1) {
  return `rgb(${r} ${g} ${b} / ${alpha})`;
}
