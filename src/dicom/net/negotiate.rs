//! The answer to an A-ASSOCIATE-RQ: titles, presentation contexts and limits, without input or output (PS3.8 7.1.1).

use std::collections::BTreeMap;

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceProviderASCEReason,
    AssociationRJServiceProviderPresentationReason, AssociationRJServiceUserReason, AssociationRJSource, AssociationRQ,
    PresentationContextProposed, PresentationContextResult, PresentationContextResultReason, UserVariableItem,
};

use super::ScpConfig;
use super::peer::Caller;
use super::storage::{COMMITMENT_SYNTAXES, STORAGE_CLASSES, TRANSFER_SYNTAXES, VERIFICATION_SYNTAXES};
use crate::dicom::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use crate::ids::AeTitle;

/// Application Context Name (PS3.7 annex A): the only one there is.
pub(super) const APPLICATION_CONTEXT: &str = uids::DICOM_APPLICATION_CONTEXT;
/// Bit 0: version 1 of the upper layer protocol, the only one there is.
pub(super) const PROTOCOL_VERSION: u16 = 1;

/// An accepted presentation context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Context {
    /// SOP class.
    pub abstract_syntax: String,
    /// The one transfer syntax of the context.
    pub transfer_syntax: String,
}

/// What was agreed.
#[derive(Debug, Clone)]
pub(super) struct Agreement {
    /// The title of the peer.
    pub calling: AeTitle,
    /// Its number in the table of peers; `None` when there is no table.
    pub peer: Option<usize>,
    /// The title under which it called us: our own.
    pub called: AeTitle,
    /// Accepted presentation contexts by their id.
    pub contexts: BTreeMap<u8, Context>,
    /// Longest PDU that the peer takes; 0 when it named no limit.
    pub peer_max_pdu_bytes: u32,
    /// The PDU that tells the peer.
    pub acceptance: AssociationAC,
}

/// Accepts or rejects.
///
/// # Errors
/// The rejection to send: 1/2/2 wrong protocol version, 1/1/2 wrong application context, 1/1/7 not our title,
/// 1/1/3 a title that may not call, or not from there or with this certificate, 1/2/1 presentation contexts that contradict
/// each other.
pub(super) fn answer(request: &AssociationRQ, config: &ScpConfig, caller: &Caller) -> Result<Agreement, Rejection> {
    if request.protocol_version & PROTOCOL_VERSION == 0 {
        return Err(by_acse(AssociationRJServiceProviderASCEReason::ProtocolVersionNotSupported));
    }
    if uid(&request.application_context_name) != APPLICATION_CONTEXT {
        return Err(by_user(AssociationRJServiceUserReason::ApplicationContextNameNotSupported));
    }
    let not_ours = || by_user(AssociationRJServiceUserReason::CalledAETitleNotRecognized);
    let called = AeTitle::parse(&request.called_ae_title).map_err(|_| not_ours())?;
    if called != config.ae_title {
        return Err(not_ours().because(format!("called as {called}, which is not our AE title")));
    }
    let stranger = || by_user(AssociationRJServiceUserReason::CallingAETitleNotRecognized);
    let calling = AeTitle::parse(&request.calling_ae_title).map_err(|_| stranger())?;
    let peer = config.peer(&calling, caller).map_err(|why| stranger().because(format!("{calling}: {why}")))?;
    let granted = peer.and_then(|n| config.peers.get(n));

    let mut contexts = BTreeMap::new();
    let mut results = Vec::with_capacity(request.presentation_contexts.len());
    for proposed in &request.presentation_contexts {
        if proposed.id % 2 == 0 || results.iter().any(|r: &PresentationContextResult| r.id == proposed.id) {
            return Err(by_acse(AssociationRJServiceProviderASCEReason::NoReasonGiven));
        }
        let (mut reason, transfer_syntax) = judge(proposed);
        let denied = granted.is_some_and(|peer| !peer.may(uid(&proposed.abstract_syntax)));
        if reason == PresentationContextResultReason::Acceptance && denied {
            reason = PresentationContextResultReason::UserRejection;
        }
        if reason == PresentationContextResultReason::Acceptance {
            let abstract_syntax = uid(&proposed.abstract_syntax).to_owned();
            contexts.insert(proposed.id, Context { abstract_syntax, transfer_syntax: transfer_syntax.to_owned() });
        }
        let transfer_syntax = transfer_syntax.to_owned();
        results.push(PresentationContextResult { id: proposed.id, reason, transfer_syntax });
    }
    let mut user_variables = user_variables(config.max_pdu_bytes);
    user_variables.extend(roles(request));
    let acceptance = AssociationAC {
        protocol_version: PROTOCOL_VERSION,
        called_ae_title: request.called_ae_title.clone(),
        calling_ae_title: request.calling_ae_title.clone(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: results,
        user_variables,
    };
    let peer_max_pdu_bytes = max_pdu_bytes(&request.user_variables);
    Ok(Agreement { calling, peer, called, contexts, peer_max_pdu_bytes, acceptance })
}

/// A rejection, and what only the log is told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejection {
    pub pdu: AssociationRJ,
    pub why: String,
}

impl Rejection {
    fn new(result: AssociationRJResult, source: AssociationRJSource) -> Self {
        Self { why: source.to_string(), pdu: AssociationRJ { result, source } }
    }

    fn because(self, why: String) -> Self {
        Self { why, ..self }
    }
}

/// The roles that a peer proposes for storage commitment, accepted as proposed: who asks for commitments calls in its usual
/// role, who answers one of ours on an association of its own calls as SCP (PS3.7 D.3.3.4). Storage has no other roles here.
fn roles(request: &AssociationRQ) -> impl Iterator<Item = UserVariableItem> {
    let commitment = |item: &&UserVariableItem| {
        matches!(item, UserVariableItem::ScuScpRoleSelectionSubItem(class, _)
            if uid(class) == uids::STORAGE_COMMITMENT_PUSH_MODEL)
    };
    request.user_variables.iter().filter(commitment).cloned()
}

/// The rejection of a peer for which there is no room now: 2/3/2.
pub(super) fn no_room(whose: &str) -> Rejection {
    let source = AssociationRJSource::ServiceProviderPresentation(
        AssociationRJServiceProviderPresentationReason::LocalLimitExceeded,
    );
    Rejection::new(AssociationRJResult::Transient, source).because(format!("{whose} max_associations are in use"))
}

/// What both sides say of themselves. The asynchronous operations window stays out: some peers break on it.
pub(super) fn user_variables(max_pdu_bytes: u32) -> Vec<UserVariableItem> {
    vec![
        UserVariableItem::MaxLength(max_pdu_bytes),
        UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
        UserVariableItem::ImplementationVersionName(IMPLEMENTATION_VERSION_NAME.to_owned()),
    ]
}

/// Maximum Length Received of the other side; 0 when it named no limit.
pub(super) fn max_pdu_bytes(variables: &[UserVariableItem]) -> u32 {
    variables.iter().find_map(|v| if let UserVariableItem::MaxLength(n) = v { Some(*n) } else { None }).unwrap_or(0)
}

/// The first of the peer's transfer syntaxes that is decoded here: the peer lists the form it has in front.
fn judge(proposed: &PresentationContextProposed) -> (PresentationContextResultReason, &'static str) {
    let syntaxes = match uid(&proposed.abstract_syntax) {
        uids::VERIFICATION => VERIFICATION_SYNTAXES,
        uids::STORAGE_COMMITMENT_PUSH_MODEL => COMMITMENT_SYNTAXES,
        class if STORAGE_CLASSES.contains(&class) => TRANSFER_SYNTAXES,
        _ => {
            let reason = PresentationContextResultReason::AbstractSyntaxNotSupported;
            return (reason, uids::IMPLICIT_VR_LITTLE_ENDIAN);
        }
    };
    let wanted = proposed.transfer_syntaxes.iter().find_map(|p| syntaxes.iter().find(|s| **s == uid(p)));
    match wanted {
        Some(syntax) => (PresentationContextResultReason::Acceptance, syntax),
        None => (PresentationContextResultReason::TransferSyntaxesNotSupported, uids::IMPLICIT_VR_LITTLE_ENDIAN),
    }
}

/// A UID without the padding that some peers send with it.
pub(super) fn uid(text: &str) -> &str {
    text.trim_matches([' ', '\0'])
}

fn by_user(reason: AssociationRJServiceUserReason) -> Rejection {
    Rejection::new(AssociationRJResult::Permanent, AssociationRJSource::ServiceUser(reason))
}

fn by_acse(reason: AssociationRJServiceProviderASCEReason) -> Rejection {
    Rejection::new(AssociationRJResult::Permanent, AssociationRJSource::ServiceProviderASCE(reason))
}

#[cfg(test)]
mod tests {
    use dicom_ul::pdu::RequestorRoles;

    use super::*;

    const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

    fn context(id: u8, class: &str, syntaxes: &[&str]) -> PresentationContextProposed {
        PresentationContextProposed {
            id,
            abstract_syntax: class.to_owned(),
            transfer_syntaxes: syntaxes.iter().map(|s| (*s).to_owned()).collect(),
        }
    }

    fn request(contexts: Vec<PresentationContextProposed>) -> AssociationRQ {
        AssociationRQ {
            protocol_version: 1,
            calling_ae_title: "MR1             ".to_owned(),
            called_ae_title: "CONTOURD\0\0".to_owned(),
            application_context_name: APPLICATION_CONTEXT.to_owned(),
            presentation_contexts: contexts,
            user_variables: vec![UserVariableItem::MaxLength(20_000)],
        }
    }

    fn here() -> Caller {
        Caller { address: std::net::Ipv4Addr::LOCALHOST.into(), certified: None }
    }

    fn table(more: &str) -> ScpConfig {
        let peer = format!("name = 'mr'\nae_title = 'MR1'\nfrom = ['127.0.0.1']\n{more}");
        ScpConfig { peers: vec![toml::from_str(&peer).unwrap()], ..ScpConfig::default() }
    }

    fn rejection(change: impl Fn(&mut AssociationRQ), config: &ScpConfig) -> AssociationRJ {
        let mut changed = request(vec![context(1, uids::VERIFICATION, &[uids::IMPLICIT_VR_LITTLE_ENDIAN])]);
        assert!(answer(&changed, config, &here()).is_ok(), "it was no good before the change");
        change(&mut changed);
        answer(&changed, config, &here()).expect_err("accepted").pdu
    }

    #[test]
    fn contexts_are_judged_one_by_one() {
        let mr = uids::MR_IMAGE_STORAGE;
        let padded = format!("{mr}\0");
        let proposed = vec![
            context(1, &padded, &[uids::JPEG_EXTENDED12_BIT, uids::RLE_LOSSLESS, uids::IMPLICIT_VR_LITTLE_ENDIAN]),
            context(3, uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND, &[uids::IMPLICIT_VR_LITTLE_ENDIAN]),
            context(5, mr, &[BIG_ENDIAN, uids::JPEG_EXTENDED12_BIT]),
            context(255, uids::VERIFICATION, &[uids::RLE_LOSSLESS, uids::EXPLICIT_VR_LITTLE_ENDIAN]),
        ];
        let agreement = answer(&request(proposed), &ScpConfig::default(), &here()).unwrap();
        let told: Vec<_> =
            agreement.acceptance.presentation_contexts.iter().map(|r| (r.id, r.reason.clone())).collect();
        use PresentationContextResultReason as Reason;
        assert_eq!(
            told,
            [
                (1, Reason::Acceptance),
                (3, Reason::AbstractSyntaxNotSupported),
                (5, Reason::TransferSyntaxesNotSupported),
                (255, Reason::Acceptance)
            ]
        );
        assert_eq!(agreement.contexts.keys().copied().collect::<Vec<_>>(), [1, 255]);
        assert_eq!(agreement.contexts[&1].abstract_syntax, mr);
        assert_eq!(agreement.contexts[&1].transfer_syntax, uids::RLE_LOSSLESS);
        assert_eq!(agreement.contexts[&255].transfer_syntax, uids::EXPLICIT_VR_LITTLE_ENDIAN);
        assert_eq!(agreement.calling.as_str(), "MR1");
        assert_eq!(agreement.peer_max_pdu_bytes, 20_000);
    }

    #[test]
    fn storage_commitment_is_accepted_in_the_roles_that_are_proposed() {
        let class = uids::STORAGE_COMMITMENT_PUSH_MODEL;
        let both = &[uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
        let mut asked = request(vec![context(1, class, both), context(3, uids::MR_IMAGE_STORAGE, both)]);
        let role = |class: &str, scu, scp| {
            UserVariableItem::ScuScpRoleSelectionSubItem(class.to_owned(), RequestorRoles { scu, scp })
        };
        let agreed = |asked: &AssociationRQ| {
            let agreement = answer(asked, &ScpConfig::default(), &here()).unwrap();
            let is_role = |v: &UserVariableItem| matches!(v, UserVariableItem::ScuScpRoleSelectionSubItem(..));
            let roles = agreement.acceptance.user_variables.iter().filter(|v| is_role(v)).cloned().collect::<Vec<_>>();
            (agreement.contexts[&1].transfer_syntax.clone(), roles)
        };
        assert_eq!(agreed(&asked), (uids::IMPLICIT_VR_LITTLE_ENDIAN.to_owned(), Vec::new()));
        asked.user_variables.extend([role(class, false, true), role(uids::MR_IMAGE_STORAGE, false, true)]);
        assert_eq!(agreed(&asked).1, [role(class, false, true)]);
    }

    #[test]
    fn each_fault_has_its_rejection() {
        let config = table("");
        use AssociationRJServiceProviderASCEReason as Acse;
        use AssociationRJServiceUserReason as User;
        assert_eq!(rejection(|r| r.protocol_version = 2, &config), by_acse(Acse::ProtocolVersionNotSupported).pdu);
        assert_eq!(
            rejection(|r| r.application_context_name = "1.2".to_owned(), &config),
            by_user(User::ApplicationContextNameNotSupported).pdu
        );
        for title in ["contourd", "CONTOURD2", "", "A\\B"] {
            let refused = rejection(|r| r.called_ae_title = title.to_owned(), &config);
            assert_eq!(refused, by_user(User::CalledAETitleNotRecognized).pdu, "{title:?}");
        }
        for title in ["MR", "MR10", "mr1", ""] {
            let refused = rejection(|r| r.calling_ae_title = title.to_owned(), &config);
            assert_eq!(refused, by_user(User::CallingAETitleNotRecognized).pdu, "{title:?}");
        }
        assert_eq!(rejection(|r| r.presentation_contexts[0].id = 2, &config), by_acse(Acse::NoReasonGiven).pdu);
        let twice = |r: &mut AssociationRQ| r.presentation_contexts.push(r.presentation_contexts[0].clone());
        assert_eq!(rejection(twice, &config), by_acse(Acse::NoReasonGiven).pdu);
    }

    #[test]
    fn a_later_protocol_version_beside_the_first_is_no_fault() {
        let mut newer = request(Vec::new());
        newer.protocol_version = 3;
        assert!(answer(&newer, &ScpConfig::default(), &here()).is_ok());
    }

    #[test]
    fn a_stranger_is_told_less_than_the_log() {
        let elsewhere = Caller { address: [127, 0, 0, 2].into(), ..here() };
        let refused = answer(&request(Vec::new()), &table(""), &elsewhere).unwrap_err();
        assert_eq!(refused.pdu, by_user(AssociationRJServiceUserReason::CallingAETitleNotRecognized).pdu);
        assert!(refused.why.starts_with("MR1: ") && refused.why.contains("from this address"), "{}", refused.why);
    }

    #[test]
    fn a_peer_gets_the_contexts_that_it_may_use() {
        let proposed = vec![
            context(1, uids::MR_IMAGE_STORAGE, &[uids::IMPLICIT_VR_LITTLE_ENDIAN]),
            context(3, uids::VERIFICATION, &[uids::IMPLICIT_VR_LITTLE_ENDIAN]),
        ];
        for (may, ids) in [("may = ['echo']", &[3][..]), ("may = ['store']", &[1]), ("", &[1, 3])] {
            let agreement = answer(&request(proposed.clone()), &table(may), &here()).unwrap();
            assert_eq!(agreement.contexts.keys().copied().collect::<Vec<_>>(), ids, "{may}");
            for result in &agreement.acceptance.presentation_contexts {
                let denied = result.reason == PresentationContextResultReason::UserRejection;
                assert_ne!(denied, ids.contains(&result.id), "{may}");
            }
        }
    }
}
