// The list of cases, newest first, with each one's state, reason and age.

import { api } from "./api.js";
import { duration, el, failure, fill, when } from "./dom.js";

const REFRESH_MS = 5000;

function row(c) {
  const review = c.structures_found ? `${c.structures_reviewed} of ${c.structures_total}` : "";
  return el("tr", { "data-case": c.id, class: `case ${c.state}` },
    el("td", {}, el("a", { href: `#/case/${encodeURIComponent(c.id)}` }, c.patient_name || "no name"),
      el("small", {}, c.patient_id || "no ID")),
    el("td", {}, c.series_description || "no description", el("small", {}, [c.revision > 1 && `revision ${c.revision}`, c.priority === 9 && "urgent", c.models.length > 1 && c.model].filter(Boolean).join(", "))),
    el("td", {}, el("span", { class: `state ${c.state}` }, c.state_in_words), c.reason && el("p", { class: "reason" }, c.reason)),
    el("td", { class: "number" }, c.structures_total ? `${c.structures_found} of ${c.structures_total}` : ""),
    el("td", { class: "number" }, review),
    el("td", { class: "number", title: when(c.received_at) }, duration(c.age_seconds)));
}

/** What was refused on receipt and so is on no case: somebody may be waiting for it. */
function refused(list) {
  return list.length ? el("details", { class: "notice", id: "refused" },
    el("summary", {}, `Refused on receipt in the last seven days: ${list.reduce((n, r) => n + r.instances, 0)} images`),
    list.map((r) => el("p", {}, `${when(r.latest)}  ${r.calling} to ${r.called}, ${r.instances} images: ${r.why}`))) : null;
}

/** Series that no route wanted: nothing of them is kept, and nothing comes back. */
function unwanted({ series, objects, latest }) {
  return series ? el("details", { class: "notice", id: "unwanted" },
    el("summary", {}, `Wanted by no route in the last seven days: ${series} series, ${objects} objects`),
    latest.map((u) => el("p", {}, `${when(u.latest)}  ${u.calling} to ${u.called}, ${u.modality || "no modality"} ` +
      `"${u.series_description}", ${u.instances} objects, ${u.refused ? "refused" : "not kept"}`,
      u.reasons.map((reason) => el("small", {}, reason))))) : null;
}

export async function casesView(node) {
  const body = el("tbody");
  const more = el("button", { type: "button", class: "more" }, "Older cases");
  const count = el("p", { class: "muted", id: "count" });
  const trouble = el("div");
  const door = el("div");
  fill(node, el("h1", {}, "Cases"), count, trouble, door,
    el("table", { class: "list" },
      el("thead", {}, el("tr", {}, el("th", {}, "Patient"), el("th", {}, "Series"), el("th", {}, "State"),
        el("th", { class: "number" }, "Found"), el("th", { class: "number" }, "Reviewed"), el("th", { class: "number" }, "Age"))),
      body),
    more);

  const known = new Map(); // every case that was seen, by id: new arrivals push none off the list
  let next = null;
  let paged = false; // "Older cases" was used

  const draw = (first) => {
    for (const c of first.cases) known.set(c.id, c);
    const all = [...known.values()].sort((a, b) => new Date(b.received_at) - new Date(a.received_at) || b.id.localeCompare(a.id));
    fill(body, all.map(row));
    if (!paged) next = first.next;
    more.hidden = !next;
    fill(count, all.length ? `${all.length} of ${first.total} shown, newest first` : "No case has arrived yet.");
  };

  const atTheDoor = async () => {
    try {
      const { refusals, unwanted: none } = await api.refusals();
      const open = [...door.querySelectorAll("details[open]")].map((details) => details.id);
      fill(door, refused(refusals), unwanted(none));
      for (const id of open) door.querySelector(`#${id}`)?.setAttribute("open", "");
    } catch (error) {
      fill(door, failure(error));
    }
  };

  let first = await api.cases();
  draw(first);
  await atTheDoor();
  more.addEventListener("click", async () => {
    try {
      const page = await api.cases(next);
      for (const c of page.cases) known.set(c.id, c);
      next = page.next;
      paged = true;
      draw(first);
    } catch (error) {
      fill(trouble, failure(error));
    }
  });

  const timer = setInterval(async () => {
    if (document.hidden) return;
    try {
      first = await api.cases();
      draw(first);
      await atTheDoor();
      fill(trouble);
    } catch (error) {
      fill(trouble, failure(error));
    }
  }, REFRESH_MS);
  return () => clearInterval(timer);
}
