//! What holds of rules and recognition whatever they are given.

use dicom_core::Tag;
use proptest::prelude::*;

use super::*;

/// A value of a header: codes, numbers, words, anything.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Z_ ]{0,16}",
        "-?[0-9]{1,8}(\\.[0-9]{0,4})?",
        "(T1|t2|FLAIR|post|w/o|\\+C|C-|KM|sans|ohne|Gd|[ _/+-]){0,12}",
        ".{0,40}",
        any::<Vec<u8>>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ]
}

fn any_header() -> impl Strategy<Value = Header> {
    let tag = prop_oneof![
        proptest::sample::select(ASKED.to_vec()),
        proptest::sample::select(vec![
            Tag(0x0010, 0x0010),
            Tag(0x0008, 0x0020),
            Tag(0x0010, 0x1010),
            Tag(0x0028, 0x0010)
        ]),
    ];
    proptest::collection::btree_map(tag, proptest::collection::vec(value(), 0..5), 0..16).prop_map(Header::new)
}

fn any_rule() -> impl Strategy<Value = toml::Value> {
    let leaf = prop_oneof![
        value().prop_map(|v| format!(
            "{{ tag = 'SeriesDescription', contains = {} }}",
            toml::Value::String(format!("{v}x"))
        )),
        "[a-zA-Z0-9+.]{1,6}".prop_map(|v| format!("{{ tag = 'ImageType', is = '{v}' }}")),
        (-100i32..5000).prop_map(|n| format!("{{ tag = 'RepetitionTime', above = {n} }}")),
        any::<bool>().prop_map(|wanted| format!("{{ tag = 'PatientName', present = {wanted} }}")),
        Just("{ tag = 'StudyDate', since = 2020-02-02 }".to_owned()),
        proptest::sample::select(vec!["t1", "gd", "t1_gd"]).prop_map(|key| format!("{{ {key} = true }}")),
    ];
    let rule = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|all| format!("{{ all = [{}] }}", all.join(", "))),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|any| format!("{{ any = [{}] }}", any.join(", "))),
            inner.prop_map(|rule| format!("{{ not = {rule} }}")),
        ]
    });
    rule.prop_map(|text| format!("when = {text}").parse::<toml::Table>().unwrap()["when"].clone())
}

/// Values of TOML of any form, some with the keys of rules.
fn any_toml() -> impl Strategy<Value = toml::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(toml::Value::Boolean),
        any::<i64>().prop_map(toml::Value::Integer),
        any::<f64>().prop_map(toml::Value::Float),
        ".{0,20}".prop_map(toml::Value::String),
        proptest::sample::select(vec!["Modality", "PatientName", "(0018,0081)", "[", "(?i)t1"])
            .prop_map(|text| toml::Value::String(text.into())),
    ];
    let keys = vec!["all", "any", "not", "tag", "is", "contains", "matches", "above", "since", "present", "t1", "x"];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        let key = proptest::sample::select(keys.clone());
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(toml::Value::Array),
            proptest::collection::vec((key, inner), 0..4)
                .prop_map(|pairs| toml::Value::Table(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

fn wrapped(key: &str, value: toml::Value) -> When {
    When::new(toml::Value::Table([(key.to_owned(), value)].into_iter().collect()))
}

fn told(when: &When, header: &Header) -> Explanation {
    when.rule().unwrap().judge(header, &recognise(header), Reader::Log)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_header_is_recognised_somehow(header in any_header()) {
        let found = recognise(&header);
        prop_assert!(!found.t1.in_words().is_empty() && !found.gadolinium.in_words().is_empty());
        prop_assert_eq!(found, recognise(&header));
    }

    #[test]
    fn a_denial_in_the_description_is_never_outweighed(header in any_header()) {
        let found = recognise(&header);
        let denied = found.gadolinium.reasons.iter().any(|reason| reason.points <= -8);
        prop_assert!(!(denied && found.is_gd()), "{}", found.gadolinium.in_words());
    }

    #[test]
    fn any_toml_is_a_rule_or_has_faults_that_begin_with_a_key(value in any_toml()) {
        let when = When::new(value);
        prop_assert_eq!(when.rule().is_some(), when.faults().is_empty());
        for fault in when.faults() {
            prop_assert!(fault.starts_with("when"), "{}", fault);
        }
    }

    #[test]
    fn what_did_not_hold_has_an_objection_and_its_denial_holds(rule in any_rule(), header in any_header()) {
        let when = When::new(rule.clone());
        let explained = told(&when, &header);
        prop_assert_eq!(explained.held, explained.objections().is_empty());
        prop_assert_eq!(told(&wrapped("not", rule), &header).held, !explained.held);
    }

    #[test]
    fn all_and_any_are_each_others_denial(rules in proptest::collection::vec(any_rule(), 1..4), header in any_header()) {
        let not = |rule: &toml::Value| toml::Value::Table([("not".to_owned(), rule.clone())].into_iter().collect());
        let all = told(&wrapped("all", toml::Value::Array(rules.clone())), &header).held;
        let any = told(&wrapped("any", toml::Value::Array(rules.iter().map(not).collect())), &header).held;
        prop_assert_eq!(all, !any);
    }

    #[test]
    fn any_text_becomes_words_and_a_day_or_none(text in ".{0,80}") {
        let found = recognise(&header(&[("SeriesDescription", &text), ("ProtocolName", &text)]));
        prop_assert!(found.t1.reasons.len() < 8);
        let _ = judged_date(&text);
    }
}

fn judged_date(text: &str) -> bool {
    let when =
        When::new("when = { tag = 'StudyDate', since = 2020-01-01 }".parse::<toml::Table>().unwrap()["when"].clone());
    told(&when, &header(&[("StudyDate", text)])).held
}
