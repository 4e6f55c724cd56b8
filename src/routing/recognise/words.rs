//! Words of descriptions, as technologists type them in English, German, French and a few other languages.

/// A description as words: upper case, without accents, split where letters end and where a small letter meets a
/// capital. A plus is a word of its own; so is a minus that stands before or behind a lone C.
pub(super) fn words(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().take(LONGEST).collect();
    let at = |n: Option<usize>| n.and_then(|n| characters.get(n)).copied().unwrap_or(' ');
    let mut words = Vec::new();
    let mut word = String::new();
    let mut close = |word: &mut String| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
        words.len()
    };
    let mut marks: Vec<(usize, &str)> = Vec::new();
    for (n, c) in characters.iter().copied().enumerate() {
        let (before, after, then) = (at(n.checked_sub(1)), at(Some(n + 1)), at(Some(n + 2)));
        if c.is_alphanumeric() {
            if before.is_lowercase() && c.is_uppercase() {
                close(&mut word);
            }
            c.to_uppercase().for_each(|upper| word.push_str(plain(upper, &mut [0; 4])));
            continue;
        }
        let lone_c = word == "C" && !after.is_alphanumeric();
        let of_c = !before.is_alphanumeric() && matches!(after, 'c' | 'C') && !then.is_alphanumeric();
        let place = close(&mut word);
        match c {
            '+' => marks.push((place, "+")),
            '-' if lone_c || of_c => marks.push((place, "-")),
            _ => {}
        }
    }
    close(&mut word);
    for (n, (place, mark)) in marks.into_iter().enumerate() {
        words.insert(place + n, mark.to_owned());
    }
    words
}

/// Series Description and Protocol Name have at most 64 characters; what is longer is something else.
const LONGEST: usize = 256;

/// A capital letter without its accent.
fn plain(c: char, buffer: &mut [u8; 4]) -> &str {
    match c {
        'À' | 'Á' | 'Â' | 'Ã' | 'Ä' => "A",
        'Ç' => "C",
        'È' | 'É' | 'Ê' | 'Ë' => "E",
        'Ì' | 'Í' | 'Î' | 'Ï' => "I",
        'Ñ' => "N",
        'Ò' | 'Ó' | 'Ô' | 'Õ' | 'Ö' => "O",
        'Ù' | 'Ú' | 'Û' | 'Ü' => "U",
        other => other.encode_utf8(buffer),
    }
}

/// Whether a word is another, with digits behind it or without (`POST2`, `GD1`).
pub(super) fn is(word: &str, wanted: &str) -> bool {
    word == wanted || word.strip_prefix(wanted).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a word is one of a list.
pub(super) fn among(word: &str, list: &[&str]) -> bool {
    list.iter().any(|wanted| is(word, wanted))
}

/// The words behind `T1` of a word that names T1 (`T1`, `3DT1`, `T1W`, `T1CE`): empty, or what stands there.
pub(super) fn behind_t1(word: &str) -> Option<&str> {
    BEFORE_T1.iter().find_map(|prefix| word.strip_prefix(prefix)?.strip_prefix("T1"))
}

/// What is written before T1 in one word.
const BEFORE_T1: [&str; 14] = ["", "2D", "3D", "S", "E", "R", "W", "AX", "SAG", "COR", "TRA", "IR", "ISO", "FS"];

/// Sequences that are made for T1.
pub(super) const T1_SEQUENCES: [&str; 17] = [
    "MPRAGE", "3DMPRAGE", "MP2RAGE", "MEMPRAGE", "BRAVO", "SPGR", "FSPGR", "IRFSPGR", "IRSPGR", "MDEFT", "VIBE", "TFE",
    "3DTFE", "LAVA", "THRIVE", "ETHRIVE", "FLASH",
];
/// Other kinds of image, whatever else the description says.
pub(super) const OTHER_KINDS: [&str; 66] = [
    "SWI",
    "SWAN",
    "SWIP",
    "VENOBOLD",
    "DWI",
    "DTI",
    "DIFF",
    "DIFFUSION",
    "DIFFUSIONSWEIGHTED",
    "ADC",
    "EADC",
    "DADC",
    "TRACE",
    "TRACEW",
    "TENSOR",
    "TOF",
    "MRA",
    "MRV",
    "ANGIO",
    "ANGIOGRAPHY",
    "ANGIOGRAPHIE",
    "VENOGRAPHY",
    "PERF",
    "PERFUSION",
    "PWI",
    "DSC",
    "DCE",
    "RCBV",
    "RCBF",
    "CBV",
    "CBF",
    "MTT",
    "TTP",
    "TMAX",
    "KTRANS",
    "ASL",
    "PCASL",
    "BOLD",
    "FMRI",
    "CISS",
    "FIESTA",
    "TRUFI",
    "TRUFISP",
    "BTFE",
    "BALANCED",
    "DRIVE",
    "FIELDMAP",
    "MRS",
    "SPECTRO",
    "SPECTROSCOPY",
    "CSI",
    "HASTE",
    "SSFSE",
    "PHASE",
    "PHASENBILD",
    "DRYLINER",
    "T1RHO",
    "TRACTO",
    "FIBERTRACK",
    "ELASTO",
    "MRE",
    "CEST",
    "APTW",
    "MTR",
    "VENC",
    "QFLOW",
];
/// Weightings that T1 excludes only where T1 is not named beside them (there is a T1 FLAIR, and a T1 TIRM).
pub(super) const OTHER_WEIGHTINGS: [&str; 9] =
    ["FLAIR", "3DFLAIR", "DARKFLUID", "TIRM", "STIR", "PD", "PDW", "PDT2", "DP"];
/// What is no acquired image of a head.
pub(super) const NO_IMAGES: [&str; 30] = [
    "LOC",
    "LOCALIZER",
    "LOCALISER",
    "LOCA",
    "LOKALIZER",
    "SCOUT",
    "AAHSCOUT",
    "HEADSCOUT",
    "SURVEY",
    "TOPOGRAM",
    "CALIBRATION",
    "CALIB",
    "CAL",
    "REFSCAN",
    "SUB",
    "SUBTRACTION",
    "SUBTRAKTION",
    "SUBTR",
    "SUBTRACTED",
    "SOUSTRACTION",
    "MIP",
    "MINIP",
    "MNIP",
    "MAP",
    "MAPS",
    "MAPPING",
    "SCREENSHOT",
    "SCREENSAVE",
    "REPORT",
    "PROJECTION",
];

/// Words that name contrast medium by themselves.
pub(super) const GIVEN: [&str; 26] = [
    "POST",
    "GD",
    "GAD",
    "GADO",
    "GADOLINIUM",
    "GADO4",
    "CONTRAST",
    "CONTRASTE",
    "CONTRASTO",
    "KONTRAST",
    "KONTRASTMITTEL",
    "KM",
    "MDC",
    "CE",
    "INJ",
    "INJECTION",
    "INJECTE",
    "INJECTEE",
    "INJECTED",
    "INJETE",
    "ENHANCED",
    "POSTCONTRAST",
    "POSTGD",
    "POSTGADO",
    "POSTKM",
    "CEMRI",
];
/// Trade names of gadolinium-based agents; substances begin with GADO.
pub(super) const AGENTS: [&str; 20] = [
    "GADOVIST",
    "GADAVIST",
    "DOTAREM",
    "CLARISCAN",
    "ARTIREM",
    "PROHANCE",
    "MAGNEVIST",
    "MULTIHANCE",
    "OMNISCAN",
    "OPTIMARK",
    "PRIMOVIST",
    "EOVIST",
    "VUEWAY",
    "ELUCIREM",
    "MAGNOGRAF",
    "CYCLOLUX",
    "DOTAGRAF",
    "DOTAVISION",
    "MAGNEGITA",
    "ABLAVAR",
];
/// What makes contrast medium of a plus before it or a plus behind it.
pub(super) const WITH_PLUS: [&str; 6] = ["C", "CM", "K", "PDC", "IV", "MC"];
/// What stands behind T1 in one word after contrast medium.
pub(super) const BEHIND_T1: [&str; 12] =
    ["C", "CE", "GD", "GAD", "GADO", "KM", "POST", "CM", "WC", "WCE", "WGD", "WKM"];
/// Words that deny contrast medium by themselves.
pub(super) const DENIED: [&str; 20] = [
    "PRE",
    "PRECONTRAST",
    "PREGD",
    "PREKM",
    "PREGADO",
    "NATIV",
    "NATIVE",
    "NATIF",
    "NATIVO",
    "UNENHANCED",
    "NONCONTRAST",
    "NONENHANCED",
    "NONINJECTE",
    "PLAIN",
    "BLANCO",
    "OKM",
    "WITHOUT",
    "OHNE",
    "SANS",
    "SENZA",
];
/// Words that deny what comes next.
pub(super) const DENYING: [&str; 14] =
    ["WITHOUT", "WO", "OHNE", "SANS", "SENZA", "ZONDER", "NO", "NON", "SIN", "SEM", "KEIN", "KEINE", "VOR", "AVANT"];
/// Words between a denial and what it denies.
pub(super) const BETWEEN: [&str; 9] = ["DE", "D", "OF", "IV", "I", "V", "THE", "ANY", "PRODUIT"];
/// What can be left out beside contrast medium: a denial of these says nothing of it.
pub(super) const NOT_CONTRAST: [&str; 24] = [
    "FS",
    "FAT",
    "FATSAT",
    "FATSUP",
    "FATSUPP",
    "FATSUPPRESSION",
    "SAT",
    "SPAIR",
    "SPIR",
    "MT",
    "MTC",
    "ANGLE",
    "GRAPPA",
    "SENSE",
    "NAV",
    "GATING",
    "FLOWCOMP",
    "MOCO",
    "SEDATION",
    "HOLD",
    "FILTER",
    "DC",
    "GRAISSE",
    "FETT",
];
/// What follows PRE or POST where they do not speak of contrast medium.
pub(super) const OF_TREATMENT: [&str; 22] = [
    "OP",
    "OPERATIVE",
    "OPERATIV",
    "OPERATION",
    "SURGERY",
    "SURGICAL",
    "RT",
    "RADIATION",
    "RADIOTHERAPY",
    "TREATMENT",
    "TX",
    "CHEMO",
    "THERAPY",
    "THERAPIE",
    "SRS",
    "GK",
    "BIOPSY",
    "EMBO",
    "RESECTION",
    "PROC",
    "PROCESSING",
    "PROCESSED",
];
/// Values of Contrast/Bolus Agent that mean none.
pub(super) const NO_AGENT: [&str; 28] = [
    "NO",
    "NONE",
    "N",
    "0",
    "00",
    "NIL",
    "NA",
    "NULL",
    "FALSE",
    "KEIN",
    "KEINE",
    "KEINES",
    "OHNE",
    "NEIN",
    "AUCUN",
    "AUCUNE",
    "SANS",
    "NON",
    "NIENTE",
    "NESSUNO",
    "SENZA",
    "NINGUNO",
    "SIN",
    "GEEN",
    "WITHOUT",
    "UNENHANCED",
    "NATIV",
    "PRE",
];
