//! Which structure of one set is which of the other.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::anatomy::Structure;

/// Names as they stand in a set to the names that they count as.
pub type Renamed = BTreeMap<String, String>;

/// A structure to be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name that both count as.
    pub name: String,
    /// Position in the reference set.
    pub reference: usize,
    /// Position in the set under test; `None` when the structure was not found.
    pub found: Option<usize>,
}

/// What is in both sets, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pairing {
    /// To be measured: the catalogue's structures in its order, then others by name.
    pub pairs: Vec<Pair>,
    /// What cannot be.
    pub unmatched: Unmatched,
}

/// Structures that stand in one set only, as they are named there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Unmatched {
    /// Nothing of this name is under test.
    pub reference_only: Vec<String>,
    /// There is no reference of this name.
    pub test_only: Vec<String>,
}

/// A name stands twice in one set, so that nobody knows which one counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} stands {count} times in {set}, as written or as renamed; which one counts cannot be known")]
pub struct Ambiguous {
    set: &'static str,
    name: String,
    count: usize,
}

/// Matches the structures of two sets by name, after renaming in both. A structure of the catalogue that the reference has
/// and the set under test lacks counts as not found: networks that find nothing write nothing. Any other name must stand
/// in both sets.
///
/// # Errors
/// [`Ambiguous`].
pub fn pair(reference: &[&str], test: &[&str], renamed: &Renamed) -> Result<Pairing, Ambiguous> {
    let by_name = |set, names: &[&str]| {
        let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (n, name) in names.iter().enumerate() {
            places.entry(renamed.get(*name).map_or(*name, String::as_str).to_owned()).or_default().push(n);
        }
        let one = |(name, at): (String, Vec<usize>)| match at[..] {
            [at] => Ok((name, at)),
            _ => Err(Ambiguous { set, name, count: at.len() }),
        };
        places.into_iter().map(one).collect::<Result<BTreeMap<String, usize>, _>>()
    };
    let (ours, mut theirs) = (by_name("the reference", reference)?, by_name("the set under test", test)?);
    let mut pairing = Pairing::default();
    for (name, at) in ours {
        match theirs.remove(&name) {
            None if Structure::from_name(&name).is_none() => {
                pairing.unmatched.reference_only.push(reference[at].to_owned());
            }
            found => pairing.pairs.push(Pair { name, reference: at, found }),
        }
    }
    pairing.unmatched.test_only.extend(theirs.into_values().map(|at| test[at].to_owned()));
    let place = |pair: &Pair| Structure::ALL.iter().position(|s| s.name() == pair.name).unwrap_or(usize::MAX);
    pairing.pairs.sort_by_key(place);
    Ok(pairing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(pairs: &[(&str, &str)]) -> Renamed {
        pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
    }

    #[test]
    fn names_meet_as_written_and_as_renamed() {
        let reference = ["Brain", "GTV", "Stem", "Eye_L", "Cochlea_L", "Lens_R"];
        let test = ["Eye_L", "Brainstem", "Brain", "cochlea li", "Eye_R"];
        let found = pair(&reference, &test, &renamed(&[("Stem", "Brainstem"), ("cochlea li", "Cochlea_L")])).unwrap();
        let pairs: Vec<_> = found.pairs.iter().map(|p| (p.name.as_str(), p.reference, p.found)).collect();
        let expected = [
            ("Brainstem", 2, Some(1)),
            ("Eye_L", 3, Some(0)),
            ("Lens_R", 5, None),
            ("Brain", 0, Some(2)),
            ("Cochlea_L", 4, Some(3)),
        ];
        assert_eq!(pairs, expected);
        assert_eq!(found.unmatched.reference_only, ["GTV"]);
        assert_eq!(found.unmatched.test_only, ["Eye_R"]);
    }

    #[test]
    fn a_name_that_stands_twice_is_refused() {
        assert!(pair(&["Brain", "Brain"], &["Brain"], &Renamed::new()).is_err());
        let error = pair(&["Brain"], &["Brain", "brain 2"], &renamed(&[("brain 2", "Brain")])).unwrap_err();
        assert!(error.to_string().starts_with("Brain stands 2 times in the set under test"), "{error}");
    }
}
