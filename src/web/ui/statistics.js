// How the contours were judged: the table of the thesis (Table 4.6) with this site's counts beside it.

import { api } from "./api.js";
import { el, fill } from "./dom.js";

const RATINGS = [["accept", "Accept"], ["minor", "Minor"], ["major", "Major"], ["reject", "Reject"], ["not_assigned", "Not assigned"]];

function total(counts) {
  return RATINGS.reduce((sum, [key]) => sum + counts[key], 0);
}

/** A stacked bar of shares; empty without reviews. */
function bar(counts) {
  const all = total(counts);
  return el("div", { class: "bar", role: "img", "aria-label": RATINGS.map(([key, word]) => `${word} ${counts[key]}`).join(", ") },
    all ? RATINGS.filter(([key]) => counts[key]).map(([key]) =>
      el("span", { class: key, style: { "flex-grow": String(counts[key]) }, title: `${counts[key]} of ${all}` })) : null);
}

function row(name, ours, thesis, tag = "td") {
  return el("tr", { "data-structure": name }, el("th", { scope: "row" }, name),
    RATINGS.map(([key]) => el(tag, { class: "number" }, ours[key])),
    el(tag, { class: "number" }, total(ours)), el("td", {}, bar(ours)),
    RATINGS.map(([key]) => el(tag, { class: "number thesis" }, thesis ? thesis[key] : "–")),
    el("td", {}, thesis ? bar(thesis) : ""));
}

export async function statisticsView(node) {
  const s = await api.statistics();
  fill(node, el("h1", {}, "Statistics"),
    el("p", { class: "muted" }, `Judgements: ${s.reviews}. Cases: ${s.cases}. Reviewers: ${s.reviewers}. `,
      "Of several judgements by one reviewer on one structure of one case, the latest counts. ",
      `Beside them: ${s.thesis.source}.`),
    el("table", { class: "list statistics" },
      el("thead", {},
        el("tr", {}, el("th"), el("th", { colspan: RATINGS.length + 2 }, "Here"),
          el("th", { colspan: RATINGS.length + 1, class: "thesis" }, `Thesis (${s.thesis.cases} cases)`)),
        el("tr", {}, el("th", {}, "Structure"), RATINGS.map(([, word]) => el("th", { class: "number" }, word)),
          el("th", { class: "number" }, "Total"), el("th", {}, "Share"),
          RATINGS.map(([, word]) => el("th", { class: "number thesis" }, word)), el("th", {}, "Share"))),
      el("tbody", {}, s.structures.map((r) => row(r.name, r.counts, r.thesis))),
      el("tfoot", {}, row("Total", s.total, s.thesis.total, "th"))),
    el("p", { class: "legend" }, RATINGS.map(([key, word]) => el("span", {}, el("i", { class: `key ${key}` }), word))));
  return () => {};
}
