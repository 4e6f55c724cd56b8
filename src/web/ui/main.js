// The page: which view belongs to the address, the reviewer's name, and the line about the daemon's health.

import { api } from "./api.js";
import { casesView } from "./cases.js";
import { caseView } from "./case.js";
import { statisticsView } from "./statistics.js";
import { duration, el, failure, fill } from "./dom.js";

const view = document.getElementById("view");
const reviewer = document.getElementById("reviewer");
let leave = () => {};
let visits = 0;

/** Views are functions (node, argument) -> a function that ends them. */
function route(hash) {
  const [page, argument] = hash.replace(/^#\/?/, "").split("/");
  if (page === "case" && argument) return ["cases", caseView, decodeURIComponent(argument)];
  if (page === "statistics") return ["statistics", statisticsView, null];
  return ["cases", casesView, null];
}

async function show() {
  const visit = ++visits;
  leave();
  leave = () => {};
  const [page, build, argument] = route(location.hash);
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const node = el("div", { class: "page" });
  fill(view, node);
  try {
    const end = await build(node, argument);
    // Left again while it was loading: end it at once.
    if (visit === visits) leave = end;
    else end();
  } catch (error) {
    if (visit === visits) fill(node, failure(error));
  }
}

async function health() {
  const footer = document.getElementById("health");
  try {
    const h = await api.health();
    const models = h.models.map((m) => `${m.name} (${m.digest.slice(0, 12)})`).join(", ") || "none";
    const waiting = ({ count, oldest_seconds }) => (count ? `${count} (oldest ${duration(oldest_seconds)})` : "none");
    fill(footer, el("span", { class: "dot ok" }), `contourd ${h.version} · inference on ${h.provider} · model ${models} · `,
      `database ${h.database} · cases waiting: ${waiting(h.waiting.cases)} · deliveries waiting: ${waiting(h.waiting.deliveries)}`);
  } catch (error) {
    fill(footer, el("span", { class: "dot bad" }), `${error.message} ${error.whatToDo ?? ""}`);
  }
}

reviewer.value = localStorage.getItem("reviewer") ?? "";
reviewer.addEventListener("input", () => localStorage.setItem("reviewer", reviewer.value.trim()));
window.addEventListener("hashchange", show);
show();
health();
setInterval(() => document.hidden || health(), 15000);
