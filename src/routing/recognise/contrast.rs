//! After gadolinium?

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::Finding;
use super::words::{
    AGENTS, BEHIND_T1, BETWEEN, DENIED, DENYING, GIVEN, NO_AGENT, NOT_CONTRAST, OF_TREATMENT, WITH_PLUS, among,
    behind_t1, words,
};
use crate::routing::header::Header;

/// A description names contrast medium.
const TEXT_GIVEN: i32 = 4;
/// A description denies it: more than all attributes together, which stay from one series to the next.
const TEXT_DENIED: i32 = -8;
/// An agent is named.
const AGENT: i32 = 4;
/// The agent is said to be none.
const AGENT_NONE: i32 = -4;
/// Dose, route, time or substance of an injection.
const INJECTION: i32 = 2;

pub(super) fn contrast(header: &Header) -> Finding {
    let mut finding = Finding::default();
    // The series' own description says more than the protocol's, which is often shared by the series before and after.
    for (tag, keyword) in [(tags::SERIES_DESCRIPTION, "SeriesDescription"), (tags::PROTOCOL_NAME, "ProtocolName")] {
        match said(&words(&header.values(tag).join(" "))) {
            Said { given: Some(word), denied: None } => finding.add(TEXT_GIVEN, format!("{keyword} says {word}")),
            Said { given: None, denied: Some(word) } => finding.add(TEXT_DENIED, format!("{keyword} says {word}")),
            Said { given: Some(given), denied: Some(denied) } => {
                finding.add(0, format!("{keyword} says both {given} and {denied}"));
            }
            Said { given: None, denied: None } => continue,
        }
        break;
    }
    agent(header, &mut finding);
    injection(header, &mut finding);
    finding
}

fn agent(header: &Header, finding: &mut Finding) {
    let all = header.values(tags::CONTRAST_BOLUS_AGENT).join(" ");
    let named = words(&all);
    if header.values(tags::CONTRAST_BOLUS_AGENT).is_empty() {
        if !header.values(tags::CONTRAST_BOLUS_AGENT_SEQUENCE).is_empty() {
            finding.add(AGENT, "ContrastBolusAgentSequence has an item");
        }
        return;
    }
    let none = named.iter().find(|word| NO_AGENT.contains(&word.as_str()) || DENIED.contains(&word.as_str()));
    match none {
        // "Gadovist, no reaction" is an agent.
        _ if named.iter().any(|word| is_agent(word)) => finding.add(AGENT, "ContrastBolusAgent names gadolinium"),
        Some(word) => finding.add(AGENT_NONE, format!("ContrastBolusAgent says {word}")),
        None if named.is_empty() => finding.add(0, "ContrastBolusAgent holds no word"),
        None => finding.add(AGENT, "ContrastBolusAgent is filled"),
    }
}

fn is_agent(word: &str) -> bool {
    among(word, &AGENTS) || word.starts_with("GADO")
}

/// Dose, route, time and substance count once: whoever fills in one fills in all.
fn injection(header: &Header, finding: &mut Finding) {
    let amount = |tag: Tag| header.number(tag).is_some_and(|n| n > 0.0);
    let there = |tag: Tag| !header.values(tag).is_empty();
    let seen: Vec<&str> = [
        ("ContrastBolusVolume", amount(tags::CONTRAST_BOLUS_VOLUME)),
        ("ContrastBolusTotalDose", amount(tags::CONTRAST_BOLUS_TOTAL_DOSE)),
        ("ContrastFlowRate", amount(tags::CONTRAST_FLOW_RATE)),
        ("ContrastBolusStartTime", there(tags::CONTRAST_BOLUS_START_TIME)),
        ("ContrastBolusRoute", there(tags::CONTRAST_BOLUS_ROUTE)),
        ("ContrastBolusIngredient", header.text(tags::CONTRAST_BOLUS_INGREDIENT).eq_ignore_ascii_case("GADOLINIUM")),
    ]
    .into_iter()
    .filter_map(|(keyword, seen)| seen.then_some(keyword))
    .collect();
    if !seen.is_empty() {
        finding.add(INJECTION, format!("an injection is described ({})", seen.join(", ")));
    }
}

/// What a description says of contrast medium: the first word for it and the first against it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    given: Option<String>,
    denied: Option<String>,
}

fn said(words: &[String]) -> Said {
    let mut said = Said::default();
    let word = |n: usize| words.get(n).map(String::as_str).unwrap_or_default();
    let mut n = 0;
    while n < words.len() {
        let (this, next) = (word(n), word(n + 1));
        let other_meaning = matches!(this, "PRE" | "POST") && among(next, &OF_TREATMENT);
        let step = if other_meaning || (this, next) == ("PHASE", "CONTRAST") {
            2
        } else if (this == "W" && next == "WO") || (matches!(this, "WITH" | "MIT" | "AVEC") && next == "AND") {
            // With and without, in one description: both.
            said.given.get_or_insert_with(|| this.to_owned());
            1
        } else if let Some((denied, length)) = denial(words, n) {
            if denied {
                said.denied.get_or_insert_with(|| words.get(n..n + length).unwrap_or_default().join(" "));
            }
            length
        } else if let Some(length) = naming(words, n) {
            said.given.get_or_insert_with(|| words.get(n..n + length).unwrap_or_default().join(" "));
            length
        } else {
            1
        };
        n += step;
    }
    said
}

/// Whether what is denied from `n` on is contrast medium, and by how many words; `None` when nothing is denied.
fn denial(words: &[String], n: usize) -> Option<(bool, usize)> {
    let word = |n: usize| words.get(n).map(String::as_str).unwrap_or_default();
    let (this, next) = (word(n), word(n + 1));
    if (this, next) == ("C", "-") || (this, next) == ("-", "C") {
        return Some((true, 2));
    }
    // "w/o", "o. KM", "w/o contrast", "pre Gd"
    let (length, denying) = match (this, next) {
        ("W", "O" | "OUT") => (2, true),
        ("O", next) => (1, matches!(next, "KM" | "CM" | "GD" | "GADO" | "KONTRAST" | "KONTRASTMITTEL")),
        ("PRE", _) => (1, true),
        _ => (1, among(this, &DENYING)),
    };
    if !denying {
        return among(this, &DENIED).then_some((true, 1));
    }
    if among(word(n + length), &NOT_CONTRAST) {
        return Some((false, length + 1));
    }
    let (start, mut end) = (n + length, n + length);
    loop {
        let at = (end..words.len()).find(|at| !among(word(*at), &BETWEEN)).unwrap_or(end);
        // "Pre and post", "pre/post": both.
        if word(at) == "POST" || (word(at), word(at + 1)) == ("+", "POST") {
            break;
        }
        match naming(words, at).or_else(|| matches!(word(at), "C" | "CM" | "MC").then_some(1)) {
            Some(length) => end = at + length,
            None => break,
        }
    }
    // By itself only what means nothing else: "no", "non", "sin", "vor" have to say of what.
    let alone = length == 2 || matches!(this, "PRE" | "WITHOUT" | "WO" | "OHNE" | "SANS" | "SENZA" | "ZONDER");
    (end > start || alone).then_some((true, end - n))
}

/// How many words from `n` on name contrast medium.
fn naming(words: &[String], n: usize) -> Option<usize> {
    let word = |n: usize| words.get(n).map(String::as_str).unwrap_or_default();
    let (this, next) = (word(n), word(n + 1));
    let plus = (this == "+" && (among(next, &WITH_PLUS) || naming(words, n + 1).is_some()))
        || (next == "+" && WITH_PLUS.contains(&this) && !among(word(n + 2), &WITH_PLUS));
    let mit = this == "MIT" && matches!(next, "CM" | "KM");
    if plus || mit {
        return Some(2);
    }
    let behind = behind_t1(this).is_some_and(|rest| among(rest, &BEHIND_T1));
    (behind || among(this, &GIVEN) || is_agent(this)).then_some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_read_as_people_mean_them() {
        let mut wrong = Vec::new();
        for (text, given, denied) in [
            ("t1_mprage_sag_p2_iso_KM", "KM", ""),
            ("AX T1 SE POST", "POST", ""),
            ("3D T1 TFE sans injection", "", "SANS INJECTION"),
            ("sag 3D T1 sans inj. de gado", "", "SANS INJ DE GADO"),
            ("SAG 3D FLAIR +C", "+ C", ""),
            ("T1 C+", "C +", ""),
            ("T1 C-", "", "C -"),
            ("AX T1 -C", "", "- C"),
            ("AX T1 - COR", "", ""),
            ("MPRAGE w/o", "", "W O"),
            ("T1 w/o contrast", "", "W O CONTRAST"),
            ("T1 w/o fat sat post Gd", "POST", ""),
            ("T1 ohne FS nach KM", "KM", ""),
            ("T1 tra o. KM", "", "O KM"),
            ("T1 oKM", "", "O KM"),
            ("T1 nativ", "", "NATIV"),
            ("T1 PRE/POST", "POST", "PRE"),
            ("T1 PRE + POST", "+ POST", "PRE"),
            ("T1 pre and post Gd", "POST", "PRE"),
            ("T1 pre Gd", "", "PRE GD"),
            ("T1 pre-contrast AX", "", "PRE CONTRAST"),
            ("T1 w/o and with contrast", "CONTRAST", "W O"),
            ("T1 vor KM", "", "VOR KM"),
            ("T1 vor Bestrahlung", "", ""),
            ("W/WO CONTRAST T1", "W", "WO CONTRAST"),
            ("T1 postop", "", ""),
            ("T1 post-op", "", ""),
            ("T1 post RT +Gd", "+ GD", ""),
            ("3D PC phase contrast", "", ""),
            ("sT1W_3D_TFE_GD", "GD", ""),
            ("T1CE", "T1CE", ""),
            ("T1 avant injection", "", "AVANT INJECTION"),
            ("T1 après injection", "INJECTION", ""),
            ("no contrast", "", "NO CONTRAST"),
            ("NON CONTRAST T1", "", "NON CONTRAST"),
            ("T1 no angle", "", ""),
            ("MPRAGE postGd", "POST", ""),
            ("T1 Dotarem", "DOTAREM", ""),
            ("T1 sin contraste", "", "SIN CONTRASTE"),
            ("T1 con contraste", "CONTRASTE", ""),
            ("T1 senza mdc", "", "SENZA MDC"),
            ("T1 posterior fossa", "", ""),
            ("", "", ""),
        ] {
            let found = said(&words(text));
            let told = (found.given.as_deref().unwrap_or_default(), found.denied.as_deref().unwrap_or_default());
            if told != (given, denied) {
                wrong.push(format!("{text}: {told:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
