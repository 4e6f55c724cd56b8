//! Which route takes a series, and why the others do not.

use serde::Serialize;

use super::config::RouteConfig;
use crate::dicom::data::Series;
use crate::ids::AeTitle;
use crate::routing::{Explanation, Header, Reader, Recognition, When, asked, recognise};
use crate::store::Case;

/// By which titles something came; `None`: nobody asks.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// Who sent it.
    pub calling: Option<&'a AeTitle>,
    /// Under which title of ours.
    pub called: Option<&'a AeTitle>,
}

/// What one route says of a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    /// Name of the route.
    pub route: String,
    /// Which titles it is not for; none: it is for this way.
    pub other_way: Vec<String>,
    /// What its rule says; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Explanation>,
}

impl Judgement {
    /// Whether the route would take the series.
    pub fn takes(&self) -> bool {
        self.other_way.is_empty() && self.rule.as_ref().is_none_or(|rule| rule.held)
    }

    /// Why it does not, in a few words each.
    pub fn objections(&self) -> Vec<String> {
        self.other_way.iter().cloned().chain(self.rule.iter().flat_map(Explanation::objections)).collect()
    }
}

/// What all routes say of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What the header lets one recognise.
    pub recognised: Recognition,
    /// One for each route, in their order.
    pub judged: Vec<Judgement>,
}

impl Choice {
    /// The place of the route that takes the series: the first that would.
    pub fn taken(&self) -> Option<usize> {
        self.judged.iter().position(Judgement::takes)
    }

    /// Whether any route is for this way, whatever its rule says.
    pub fn has_a_way(&self) -> bool {
        self.judged.iter().any(|judged| judged.other_way.is_empty())
    }

    /// Why no route takes it: a line for each route that is for this way.
    pub fn objections(&self) -> Vec<String> {
        let asked = self.judged.iter().filter(|judged| judged.other_way.is_empty() && !judged.takes());
        asked.map(|judged| format!("{}: {}", judged.route, judged.objections().join("; "))).collect()
    }
}

/// Asks every route.
pub fn choose(routes: &[RouteConfig], way: Way<'_>, header: &Header, reader: Reader) -> Choice {
    let recognised = recognise(header);
    let judged = routes.iter().map(|route| Judgement {
        route: route.name.clone(),
        other_way: other_way(route, way),
        rule: route.when.as_ref().and_then(When::rule).map(|rule| rule.judge(header, &recognised, reader)),
    });
    let judged = judged.collect();
    Choice { recognised, judged }
}

/// The tags of every attribute that routes and recognition ask for.
pub fn asked_by(routes: &[RouteConfig]) -> Vec<crate::routing::Tag> {
    asked(routes.iter().filter_map(|route| route.when.as_ref()?.rule()))
}

/// The model that a case is for: the one that was kept with it, or, where none was, the one of the route as it is now.
pub(super) fn model_of(case: &Case, route: &RouteConfig) -> Option<String> {
    case.model().map(str::to_owned).or_else(|| route.models().into_iter().next())
}

/// What has to be said of a series that was taken without contrast medium: it is another image than the networks are meant
/// for, and a route's rule that takes it on purpose does not make it one.
pub(super) fn without_contrast(series: &Series) -> Option<String> {
    let recognised = recognise(&Header::new(series.attributes.says.clone().into_values()));
    let (likelihood, score) = (recognised.gadolinium.likelihood(), recognised.gadolinium.score());
    (!recognised.is_gd()).then(|| {
        format!(
            "no contrast agent: networks are meant for T1 after gadolinium (gadolinium {likelihood}, score {score})"
        )
    })
}

/// Whether a route is for this way, whatever its rule says.
pub(super) fn is_for(route: &RouteConfig, way: Way<'_>) -> bool {
    other_way(route, way).is_empty()
}

fn other_way(route: &RouteConfig, way: Way<'_>) -> Vec<String> {
    let differs = |what: &str, wanted: &Option<AeTitle>, is: Option<&AeTitle>| match (wanted, is) {
        (Some(wanted), Some(is)) if wanted != is => Some(format!("it is for {what} {wanted}, not {is}")),
        _ => None,
    };
    let calling = differs("calling AE title", &route.calling_ae, way.calling);
    calling.into_iter().chain(differs("called AE title", &route.called_ae, way.called)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::dicom::data::IMAGE_TAGS;

    fn routes(text: &str) -> Vec<RouteConfig> {
        #[derive(serde::Deserialize)]
        struct Lists {
            route: Vec<RouteConfig>,
        }
        toml::from_str::<Lists>(text).unwrap().route
    }

    fn header(description: &str) -> Header {
        let tag = asked([].into_iter()).into_iter().find(|tag| tag.to_string() == "(0008,103E)").unwrap();
        Header::new(BTreeMap::from([(tag, vec![description.to_owned()])]))
    }

    #[test]
    fn the_first_route_whose_titles_and_rule_fit_takes_it() {
        let routes = routes(
            "[[route]]\nname = 'urgent'\ncalling_ae = 'MR1'\ndestinations = ['p']\n\
             when = { t1_gd = true }\n\
             [[route]]\nname = 'rest'\ncalling_ae = 'MR1'\ndestinations = ['p']\n\
             when = { tag = 'SeriesDescription', contains = 't1' }\n\
             [[route]]\nname = 'other'\ncalled_ae = 'THERE'\ndestinations = ['p']\n",
        );
        let title = |t| AeTitle::parse(t).unwrap();
        let (mr1, mr2, here, there) = (title("MR1"), title("MR2"), title("HERE"), title("THERE"));
        let choose = |description: &str, calling, called| {
            let way = Way { calling, called };
            choose(&routes, way, &header(description), Reader::Log)
        };
        assert_eq!(choose("T1 +C", Some(&mr1), Some(&here)).taken(), Some(0));
        assert_eq!(choose("T1", Some(&mr1), Some(&here)).taken(), Some(1));
        assert_eq!(choose("T1", Some(&mr2), Some(&there)).taken(), Some(2));
        let none = choose("T2 Muster", Some(&mr1), Some(&here));
        assert_eq!((none.taken(), none.has_a_way()), (None, true));
        let why = none.objections();
        assert_eq!(why.len(), 2, "{why:?}");
        assert!(why[0].starts_with("urgent: recognised as T1-weighted after gadolinium: T1 "), "{why:?}");
        assert_eq!(why[1], "rest: SeriesDescription contains \"t1\": present");
        let lost = choose("T1", Some(&mr2), Some(&here));
        assert_eq!((lost.taken(), lost.has_a_way(), lost.objections()), (None, false, Vec::new()));
        assert_eq!(lost.judged[2].objections(), ["it is for called AE title THERE, not HERE"]);
        // Without titles every route is asked for its rule only.
        assert_eq!(choose("T2", None, None).taken(), Some(2));
    }

    /// What is known of a series when it is segmented is enough to recognise it.
    #[test]
    fn what_recognition_asks_for_is_read_with_every_image() {
        for tag in asked([].into_iter()) {
            let later = tag.to_string() == "(0040,1003)";
            assert!(IMAGE_TAGS.contains(&tag) || later, "{tag}");
        }
    }
}
