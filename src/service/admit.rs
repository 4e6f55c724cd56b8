//! Which route takes an instance: decided by the first instance of its series, and kept for all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::complete::Otherwise;
use super::config::RouteConfig;
use super::route::{Choice, Way, asked_by, choose, is_for};
use crate::dicom::data::{Attributes, Companion, InstanceHeader, companion};
use crate::dicom::net::Received;
use crate::ids::sha256_hex;
use crate::routing::{Header, Priority, Reader, Tag, When};
use crate::store::{CaseRole, Routing, SeriesWay, Store, StoreError};

/// Where an instance goes.
#[derive(Debug)]
pub(super) enum Admission<'a> {
    /// With its series onto this route, with this priority, for this.
    To(&'a RouteConfig, i16, CaseRole),
    /// No route is for the titles that it came under.
    NoWay,
    /// No route wants its series: refused, or seen and not kept; why, for the sender.
    Unwanted { refused: bool, why: String },
    /// It is damaged, and what is left of its header does not say where it belongs: its series is not judged by that.
    Unclear,
}

/// Decides, and remembers.
#[derive(Debug)]
pub(super) struct Doorkeeper {
    store: Arc<Store>,
    routes: Arc<[RouteConfig]>,
    otherwise: Otherwise,
    /// Digest of everything in the routes that decides: others are asked anew.
    digest: String,
    tags: Vec<Tag>,
    /// Series that a route takes, as the database has them, too: asked for every instance.
    taken: Mutex<HashMap<SeriesWay, Routing>>,
}

/// Decisions kept in memory: more series than come in at once.
const REMEMBERED: usize = 4096;

impl Doorkeeper {
    pub fn new(store: Arc<Store>, routes: Arc<[RouteConfig]>, otherwise: Otherwise) -> Self {
        let (digest, tags) = (digest(&routes, otherwise), asked_by(&routes));
        Self { store, routes, otherwise, digest, tags, taken: Mutex::default() }
    }

    /// The tags of the attributes that it has to be shown.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// Where an instance goes; what no route wants is counted.
    pub async fn admit(
        &self,
        object: &Received,
        header: &InstanceHeader,
        attributes: Attributes,
        damaged: bool,
    ) -> Result<Admission<'_>, StoreError> {
        if let Some(beside) = self.kept_beside(object, header) {
            return Ok(beside);
        }
        let way =
            SeriesWay { series: header.series.clone(), calling: object.calling.clone(), called: object.called.clone() };
        if let Some(taken) = self.remembered(&way) {
            return Ok(self.admission(&taken));
        }
        if let Some(unwanted) = self.store.pg.count_unwanted(&way, &self.digest).await? {
            return Ok(self.admission(&unwanted));
        }
        if self.store.pg.routing_of(&way, &self.digest).await?.is_none() {
            let titles = Way { calling: Some(&way.calling), called: Some(&way.called) };
            let asked = Header::new(attributes.into_values());
            let choice = choose(&self.routes, titles, &asked, Reader::Log);
            if !choice.has_a_way() {
                return Ok(Admission::NoWay);
            }
            if damaged {
                let taken = choice.taken().and_then(|place| self.routes.get(place));
                return Ok(taken.map_or(Admission::Unclear, |route| {
                    Admission::To(route, i16::from(route.priority.raised_by(&asked).get()), CaseRole::Contours)
                }));
            }
            let new = self.decide(&way, header, &asked, &choice).await?;
            self.store.pg.keep_routing(&way, &self.digest, &new).await?;
            tell(&way, &new);
        }
        // What is in the database counts: another association may have been faster by a moment.
        let kept = match self.store.pg.count_unwanted(&way, &self.digest).await? {
            Some(unwanted) => Some(unwanted),
            None => self.store.pg.routing_of(&way, &self.digest).await?,
        };
        let Some(kept) = kept else { return Ok(Admission::NoWay) };
        let admission = self.admission(&kept);
        if kept.route.is_some() {
            self.remember(way, kept);
        }
        Ok(admission)
    }

    /// What is kept beside the contours, where a route for its way asks for it: a CT, a registration, another's structure set.
    /// The route says so itself: rules are about what is contoured.
    fn kept_beside(&self, object: &Received, header: &InstanceHeader) -> Option<Admission<'_>> {
        let (role, wanted): (_, fn(&RouteConfig) -> bool) = match companion(&header.sop_class)? {
            Companion::Ct => (CaseRole::PlanningCt, |route| route.planning_ct),
            Companion::Registration => (CaseRole::Registration, |route| route.planning_ct),
            Companion::StructureSet => (CaseRole::StructureSet, |route| route.structure_sets),
        };
        let way = Way { calling: Some(&object.calling), called: Some(&object.called) };
        let route = self.routes.iter().find(|route| wanted(route) && is_for(route, way))?;
        Some(Admission::To(route, i16::from(route.priority.get()), role))
    }

    fn admission(&self, routing: &Routing) -> Admission<'_> {
        if let Some(route) = self.routes.iter().find(|route| Some(&route.name) == routing.route.as_ref()) {
            return Admission::To(route, routing.priority, CaseRole::Contours);
        }
        // The routes' own lines; what was recognised comes before them.
        let why = routing.reasons.iter().filter_map(|line| line.strip_prefix(ROUTE));
        let why = format!("no route wants this series: {}", why.collect::<Vec<_>>().join(" | "));
        Admission::Unwanted { refused: routing.refused, why }
    }

    fn remembered(&self, way: &SeriesWay) -> Option<Routing> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).get(way).cloned()
    }

    fn remember(&self, way: SeriesWay, routing: Routing) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= REMEMBERED {
            taken.clear();
        }
        taken.insert(way, routing);
    }

    /// A series that has a case stays on the case's route as long as there is one of that name, whatever its rules say now.
    async fn decide(
        &self,
        way: &SeriesWay,
        header: &InstanceHeader,
        asked: &Header,
        choice: &Choice,
    ) -> Result<Routing, StoreError> {
        let before = self.store.pg.route_of_case(way).await?;
        let before = before.and_then(|name| self.routes.iter().find(|route| route.name == name));
        let taken = before.or_else(|| self.routes.get(choice.taken()?));
        let priority = taken.map(|route| route.priority).unwrap_or_default().raised_by(asked);
        Ok(Routing {
            route: taken.map(|route| route.name.clone()),
            refused: taken.is_none() && self.otherwise == Otherwise::Refuse,
            priority: i16::from(Priority::get(priority)),
            modality: header.modality.clone(),
            series_description: header.series_description.clone(),
            reasons: reasons(choice),
        })
    }
}

/// How a line begins that a route said.
const ROUTE: &str = "route ";

/// What was recognised, and what each route said, up to the one that takes the series.
fn reasons(choice: &Choice) -> Vec<String> {
    let mut lines = vec![
        format!("T1: {}", choice.recognised.t1.in_words()),
        format!("gadolinium: {}", choice.recognised.gadolinium.in_words()),
    ];
    for judged in choice.judged.iter().filter(|judged| judged.other_way.is_empty()) {
        let said = if judged.takes() { "it takes the series".to_owned() } else { judged.objections().join("; ") };
        lines.push(format!("{ROUTE}{}: {said}", judged.route));
        if judged.takes() {
            break;
        }
    }
    lines
}

fn tell(way: &SeriesWay, routing: &Routing) {
    let SeriesWay { series, calling, called } = way;
    match &routing.route {
        Some(route) => {
            tracing::info!(%series, from = %calling, %called, route, routing.priority, "a series has its route")
        }
        None => tracing::warn!(
            %series, from = %calling, %called, routing.refused, reasons = routing.reasons.join(" | "),
            "no route wants this series: nothing of it is kept"
        ),
    }
}

/// The same for routes that decide the same.
fn digest(routes: &[RouteConfig], otherwise: Otherwise) -> String {
    let title = |title: &Option<crate::ids::AeTitle>| title.as_ref().map_or_else(String::new, ToString::to_string);
    let route = |route: &RouteConfig| {
        let when = route.when.as_ref().map(When::text).unwrap_or_default();
        let (calling, called) = (title(&route.calling_ae), title(&route.called_ae));
        format!("{:?} {calling:?} {called:?} {when:?} {}\n", route.name, route.priority.get())
    };
    let routes: String = routes.iter().map(route).collect();
    sha256_hex(format!("{otherwise:?}\n{routes}").as_bytes())
}
