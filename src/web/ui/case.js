// One case: the slices with the contours on them, and the table of structures to be judged.

import { api } from "./api.js";
import { css, duration, el, failure, fill, when } from "./dom.js";
import { ReviewPanel, badge } from "./review.js";
import { Viewer } from "./viewer.js";

const spaced = (name) => name.replaceAll("_", " ");

/** What a reviewer should know of a structure: its flags in full, and what each rule did. */
function details(structure) {
  const changed = structure.effects.filter((e) => e.added || e.removed);
  const said = new Set(structure.reasons);
  return [
    el("p", { class: `notice light-words ${structure.light ?? "none"}` }, light(structure), structure.reasons.length
      ? el("ul", {}, structure.reasons.map((reason) => el("li", {}, reason)))
      : structure.light === "green" ? " Nothing odd was measured; look at it all the same." : null),
    structure.flags.filter((f) => !said.has(f.text)).map((f) => el("p", { class: `notice flagged ${f.severity}` }, f.text)),
    changed.length ? el("p", { class: "effects" }, "Rules, in voxels of the working grid: ",
      changed.map((e) => `${spaced(e.rule)} +${e.added} −${e.removed}`).join(", ")) : null,
  ];
}

/** The traffic light: a dot, and its word beside it, for nobody reads colours alone. */
function light(structure) {
  const word = structure.light ?? "not judged";
  return el("span", { class: "light", title: structure.reasons.join("\n") || null },
    el("span", { class: `dot ${structure.light ?? "none"}`, "aria-hidden": "true" }), word);
}

function delivery(d) {
  const trouble = d.failed ? `, ${d.failed} refused` : "";
  const known = !d.accepted ? "" : d.confirmed === d.accepted ? ", confirmed" : d.awaited ? ", confirmation awaited" : ", not confirmed";
  return el("div", {}, `${d.destination}: ${d.accepted} of ${d.total} objects${trouble}${known}`,
    d.confirmed < d.total && d.last_error ? el("small", {}, d.last_error) : null);
}

/** A button for what this case can be told to do now, and what came of it. */
function actionBar(name, word, meaning, act) {
  const message = el("div", { "aria-live": "polite" });
  const button = el("button", { type: "button", class: name, title: meaning, on: { click: async () => {
    button.disabled = true; // one click, one attempt
    try {
      await act();
      window.dispatchEvent(new Event("hashchange")); // the page is shown anew, with the new state
    } catch (error) {
      fill(message, failure(error));
      button.disabled = false;
    }
  } } }, word);
  return el("div", {}, button, message);
}

/** For a series whose last images will not come, or whose sender takes its time. */
function completeBar(info) {
  return info.state !== "receiving" || info.role !== "contours" ? null : actionBar("complete", "That is the whole series",
    "Contours the images that are here now instead of waiting for more; what comes later is taken in or opens the next revision", () => api.complete(info.id));
}

/** For another attempt, where there is something to retry. */
function retryBar(info) {
  if (!info.retry) return null;
  const [word, meaning] = info.retry === "job"
    ? ["Contour again", "Queues the case again, once what its reason names was put right"]
    : ["Send again now", "Sends what failed or waits, once the destination was put right; what was accepted is not sent twice"];
  return actionBar("retry", word, meaning, () => api.retry(info.id));
}

/** What lets a held case go: the reviewer's name stands at the top of the page, the reason is written here. */
function releaseBar(info) {
  if (info.release) {
    return el("p", { class: "notice released" }, `Released by ${info.release.released_by}, ${when(info.release.made_at)}: ${info.release.reason}`);
  }
  if (info.state !== "held") return null;
  const message = el("div", { "aria-live": "polite" });
  const reason = el("input", { type: "text", maxlength: 4000, class: "release-reason", "aria-label": "Reason for the release",
    placeholder: "Why may it be sent all the same?" });
  const button = el("button", { type: "button", class: "release", title: "Sends the contours to every destination; name and reason are kept",
    on: { click: async () => {
      const reviewer = document.getElementById("reviewer");
      if (!reviewer.value.trim() || !reason.value.trim()) {
        fill(message, el("p", { class: "notice error", role: "alert" }, "Write your name at the top of the page and the reason here first."));
        (reviewer.value.trim() ? reason : reviewer).focus();
        return;
      }
      button.disabled = true; // one click, one release
      try {
        await api.release(info.id, { released_by: reviewer.value.trim(), reason: reason.value.trim() });
        window.dispatchEvent(new Event("hashchange"));
      } catch (error) {
        fill(message, failure(error));
        button.disabled = false;
      }
    } } }, "Release");
  return el("div", { class: "held-bar" }, "Nothing of this case was sent. Look at the images and the contours; left as it is, it stays here.",
    el("div", { class: "release-row" }, reason, button), message);
}

/** What became of the contours on one CT of the study. */
function planning(p) {
  const words = { made: "Also on", under_way: "To be laid on", waiting: "Not yet on", refused: "Not on", failed: "Not on" };
  const [first, ...more] = (p.outcome ?? "being made").split("\n");
  return el("p", { class: `notice planning ${p.state === "made" && !more.length ? "" : "flagged warning"}` },
    `${words[p.state]} planning CT "${p.ct_description || "no description"}": ${first}`, more.map((line) => el("small", {}, line)));
}

/** Structure sets of the study that others made. */
function priorSets(info) {
  const day = (made) => made.match(/^\d{8}/) ? `${made.slice(0, 4)}-${made.slice(4, 6)}-${made.slice(6, 8)}` : "no date";
  const where = (p) => p.on_these_images ? "these images" : p.drawn_on ? "other images in the same frame of reference" : "images that it does not name";
  return info.prior_sets.map((p) => el("p", { class: "notice prior-set" },
    el("a", { href: `#/case/${p.case_id}` }, `Structure set "${p.label || "no label"}"`),
    ` of ${day(p.made)}, ${p.rois} structures, ${p.approval ? p.approval.toLowerCase() : "approval not said"}, by ${p.maker || "an unnamed system"}, drawn on ${where(p)}`));
}

/** Why this series is here: what its header let one recognise, and what each route said of it. */
function routing(info) {
  return info.routing.length ? el("details", { class: "notice", id: "routing" },
    el("summary", {}, `Route ${info.route}, priority ${info.priority}`), info.routing.map((line) => el("p", {}, line))) : null;
}

function structureRow(s, onToggle, onSelect) {
  const name = el("button", { type: "button", class: "name", on: { click: onSelect } }, s.name);
  const box = el("input", { type: "checkbox", checked: s.found, "aria-label": `Show ${s.name}`, disabled: !s.found,
    style: { "accent-color": css(s.colour) }, on: { change: (event) => onToggle(event.target.checked) } });
  return el("tr", { "data-structure": s.name, class: s.found ? "" : "absent" },
    el("td", {}, el("span", { class: "swatch", style: { "background-color": css(s.colour) } }), box),
    el("td", {}, name),
    el("td", {}, light(s)),
    el("td", { class: "number" }, s.found ? `${s.volume_cc.toFixed(s.volume_cc < 10 ? 2 : 1)} cm³` : "not found"),
    el("td", { class: "number" }, s.found && s.agreement !== null ? `${Math.round(s.agreement * 100)} %` : ""),
    el("td", { class: "flags" }, s.flags.filter((f) => f.kind !== "not_found").map((f) => el("span", { class: `flag ${f.severity}`, title: f.text }, spaced(f.kind)))),
    el("td", { class: "latest" }, s.latest_reviews.map((r) => el("span", { title: r.reviewer }, badge(r.rating)))));
}

export async function caseView(node, id) {
  const [info, listed] = await Promise.all([api.case(id), api.structures(id)]);
  const facts = el("dl", { class: "facts" }, [
    ["Patient", `${info.patient_name || "no name"} (${info.patient_id || "no ID"})`],
    ["Series", info.series_description || "no description"],
    ["State", el("span", { class: `state ${info.state}` }, info.state_in_words)],
    ["Received", `${when(info.received_at)} (${duration(info.age_seconds)} ago)`],
    ["Deliveries", info.deliveries.length ? info.deliveries.map(delivery) : "none"],
    ["Model", info.model_name ? `${info.model_name} ${(info.model_digest ?? "").slice(0, 12)}` : "none yet"],
  ].map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value))));
  fill(node, el("h1", {}, el("a", { href: "#/", title: "All cases" }, "Cases"), " / ", info.patient_name || "no name"), facts,
    info.in_plain_words.map((w) => el("p", { class: "notice plain" }, el("b", {}, w.what), " ", w.to_do)),
    info.reason ? el("p", { class: "notice reason" }, info.reason) : null,
    info.fetched && info.state !== "refused" ? el("p", { class: "notice" }, info.fetched) : null, // else its reason says so
    info.warnings.map((w) => el("p", { class: "notice flagged warning" }, w)), info.planning.map(planning), priorSets(info),
    info.sets_fetched ? el("p", { class: "notice" }, info.sets_fetched) : null, routing(info), completeBar(info), retryBar(info), releaseBar(info));
  if (!listed.structures.length) {
    node.append(el("p", { class: "notice" }, info.role === "contours" ? "There are no contours to review." : "It is not contoured itself."));
    return () => {};
  }

  const canvas = el("canvas", { tabindex: 0, "aria-label": "Slice with contours: wheel or arrow keys change the slice, drag changes the window" });
  const slider = el("input", { type: "range", min: 0, step: 1, "aria-label": "Slice" });
  const where = el("output", { class: "where" });
  const left = el("section", { class: "picture" }, el("p", { class: "muted" }, "Reading the images…"));
  const rows = el("tbody");
  const table = el("table", { class: "list structures" },
    el("thead", {}, el("tr", {}, el("th"), el("th", {}, "Structure"),
      el("th", { title: "How much to doubt it: green (nothing odd was measured), amber (look with care), red (decide before it is used)" }, "Light"),
      el("th", { class: "number" }, "Volume"),
      el("th", { class: "number", title: "Mean agreement of the three networks inside the structure" }, "Agreement"),
      el("th", {}, "Flags"), el("th", {}, "Reviews"))),
    rows);

  let viewer = null;
  const panel = new ReviewPanel(id, (structure, review) => {
    structure.latest_reviews = [...structure.latest_reviews.filter((r) => r.reviewer !== review.reviewer), review];
    draw();
  });
  const detail = el("div", { class: "detail" });
  const middle = new Map(); // structure to its middle slice

  const select = (structure) => {
    panel.show(structure);
    fill(detail, details(structure));
    viewer?.select(structure.name);
    if (viewer && middle.has(structure.name)) viewer.goTo(middle.get(structure.name));
    for (const row of rows.children) row.toggleAttribute("data-selected", row.dataset.structure === structure.name);
  };
  const draw = () => {
    const chosen = panel.structure?.name;
    const off = new Set([...rows.querySelectorAll("tr:not(.absent):has(input:not(:checked))")].map((row) => row.dataset.structure));
    fill(rows, listed.structures.map((s) =>
      structureRow(s, (visible) => viewer?.setVisible(s.name, visible), () => select(s))));
    for (const row of rows.children) {
      row.toggleAttribute("data-selected", row.dataset.structure === chosen);
      if (off.has(row.dataset.structure)) row.querySelector("input").checked = false;
    }
  };
  draw();
  node.append(el("div", { class: "workplace" }, left, el("section", { class: "side" }, table, panel.node, detail)));

  try {
    const [image, contours] = await Promise.all([api.image(id), api.contours(id)]);
    slider.max = image.slices - 1;
    fill(left, canvas,
      el("div", { class: "bar-under" }, slider, where,
        el("button", { type: "button", on: { click: () => viewer.resetView() } }, "Reset view")),
      el("p", { class: "muted" }, "Wheel or arrow keys: slice. Drag: window. Ctrl + wheel: zoom. Shift + drag: move."));
    for (const s of contours.structures) if (s.middle_slice !== null) middle.set(s.name, s.middle_slice);
    const changed = () => {
      if (!viewer) return;
      slider.value = viewer.slice;
      where.textContent = `slice ${viewer.slice + 1} of ${image.slices} · centre ${viewer.window.centre} width ${viewer.window.width}`;
    };
    viewer = new Viewer(canvas, id, image, contours.structures, changed);
    slider.addEventListener("input", () => viewer.goTo(Number(slider.value)));
    changed();
  } catch (error) {
    fill(left, failure(error));
  }
  // Reading the images takes seconds: a structure that was chosen meanwhile stays chosen.
  select(panel.structure ?? listed.structures.find((s) => s.found) ?? listed.structures[0]);
  return () => {
    panel.end();
    viewer?.end();
  };
}
