// Judging one structure: five buttons, a comment, the time it took, and what was said before.

import { api } from "./api.js";
import { el, failure, fill, when } from "./dom.js";

export const RATINGS = [
  ["accept", "Accept", "Kept without changes"],
  ["minor", "Minor", "Acceptable: small corrections would not change the doses"],
  ["major", "Major", "Must be corrected, but correcting beats starting over"],
  ["reject", "Reject", "No time saved"],
  ["not_assigned", "Not assigned", "Absent or invisible"],
];

const WORDS = Object.fromEntries(RATINGS.map(([key, word]) => [key, word]));

/** Seconds during which a structure was selected on a visible page. */
class Stopwatch {
  constructor() {
    this.seconds = 0;
    this.since = null;
  }

  run(on) {
    if (this.since !== null) this.seconds += (performance.now() - this.since) / 1000;
    this.since = on ? performance.now() : null;
  }

  read() {
    return this.seconds + (this.since === null ? 0 : (performance.now() - this.since) / 1000);
  }
}

export function badge(rating) {
  return el("span", { class: `rating ${rating}` }, WORDS[rating] ?? rating);
}

/** The panel of the selected structure. `reviewed(review)` is called after each new review. */
export class ReviewPanel {
  constructor(caseId, reviewed) {
    this.caseId = caseId;
    this.reviewed = reviewed;
    this.watches = new Map();
    this.drafts = new Map(); // comments not sent yet, by structure
    this.structure = null;
    this.node = el("section", { class: "review", "aria-label": "Review" });
    this.visibility = () => this.watch()?.run(!document.hidden);
    document.addEventListener("visibilitychange", this.visibility);
    this.timer = setInterval(() => this.tick(), 1000);
  }

  end() {
    document.removeEventListener("visibilitychange", this.visibility);
    clearInterval(this.timer);
  }

  watch() {
    if (!this.structure) return null;
    const { name } = this.structure;
    if (!this.watches.has(name)) this.watches.set(name, new Stopwatch());
    return this.watches.get(name);
  }

  tick() {
    if (this.clock) this.clock.textContent = `${Math.round(this.watch().read())} s`;
  }

  show(structure) {
    this.watch()?.run(false);
    this.structure = structure;
    this.watch().run(!document.hidden);
    this.message = el("div", { "aria-live": "polite" });
    this.clock = el("span", { class: "clock", title: "Time spent on this structure while the page was in view" });
    this.history = el("ol", { class: "history" });
    this.comment = el("textarea", {
      rows: 2, maxlength: 4000, placeholder: "Comment (optional)", "aria-label": "Comment",
      on: { input: () => this.drafts.set(structure.name, this.comment.value) },
    });
    this.comment.value = this.drafts.get(structure.name) ?? "";
    this.buttons = RATINGS.map(([key, word, meaning]) => el("button", {
      type: "button", class: `rating ${key}`, title: meaning, "data-rating": key,
      disabled: !structure.found && ["accept", "minor", "major"].includes(key),
      on: { click: () => this.send(key) },
    }, word));
    fill(this.node,
      el("h2", {}, structure.name, this.clock),
      structure.found ? null : el("p", { class: "muted" },
        "Not found by contourd. Not assigned: it is absent or invisible in this patient. Reject: it was missed."),
      el("div", { class: "buttons" }, this.buttons), this.comment, this.message, this.history);
    this.tick();
    return this.loadHistory(structure);
  }

  async loadHistory(structure) {
    try {
      const { reviews } = await api.reviews(this.caseId, structure.name);
      if (structure !== this.structure) return;
      fill(this.history, reviews.map((r) => el("li", {}, badge(r.rating), " ", el("strong", {}, r.reviewer),
        ` ${when(r.made_at)}`, r.seconds_spent === null ? "" : `, ${Math.round(r.seconds_spent)} s`,
        r.comment && el("p", {}, r.comment))));
    } catch (error) {
      fill(this.message, failure(error));
    }
  }

  async send(rating) {
    const structure = this.structure;
    const watch = this.watch();
    const reviewer = document.getElementById("reviewer");
    if (!reviewer.value.trim()) {
      fill(this.message, el("p", { class: "notice error", role: "alert" }, "Who is reviewing? Write your name at the top of the page first."));
      reviewer.focus();
      return;
    }
    const waiting = this.buttons.filter((b) => !b.disabled);
    for (const button of waiting) button.disabled = true; // one click, one row
    try {
      const review = await api.review(this.caseId, structure.name, {
        rating, reviewer: reviewer.value.trim(), comment: this.comment.value.trim(), seconds_spent: Number(watch.read().toFixed(1)),
      });
      this.watches.set(structure.name, new Stopwatch()); // a changed mind is measured anew
      this.drafts.delete(structure.name);
      this.reviewed(structure, review);
      if (structure === this.structure) {
        this.watch().run(!document.hidden);
        this.comment.value = "";
        fill(this.message, el("p", { class: "notice done", role: "status" }, `Recorded: ${WORDS[review.rating]}.`));
        await this.loadHistory(structure);
      }
    } catch (error) {
      if (structure === this.structure) fill(this.message, failure(error));
    } finally {
      for (const button of waiting) button.disabled = false;
    }
  }
}
