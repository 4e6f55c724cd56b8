//! Where organs lie in the head's own axes.

use crate::anatomy::Class;

/// What is usual for a class.
pub(super) struct Place {
    /// Distance of the barycentre from the plane between left and right, mm.
    pub lateral: [f64; 2],
    /// Distance of the barycentre from that of the neighbour ([`beside`](crate::anatomy::quality::beside)), mm.
    pub apart: [f64; 2],
}

/// The middle four fifths of synthetic heads (the cards of networks 1.2.0 and 3.0.0), widened to at least three times
/// their width: what lies outside is no organ, or another one. The brain has no neighbour.
pub(super) const fn usual(class: Class) -> Place {
    match class {
        Class::Eye => Place { lateral: [20.0, 45.0], apart: [45.0, 85.0] },
        Class::Lens => Place { lateral: [18.0, 46.0], apart: [4.0, 13.0] },
        Class::OpticNerve => Place { lateral: [8.0, 30.0], apart: [18.0, 48.0] },
        Class::Chiasm | Class::Pituitary => Place { lateral: [0.0, 7.0], apart: [5.0, 24.0] },
        Class::Hippocampus => Place { lateral: [16.0, 38.0], apart: [18.0, 45.0] },
        Class::Brainstem => Place { lateral: [0.0, 6.0], apart: [22.0, 55.0] },
        Class::Brain => Place { lateral: [0.0, 8.0], apart: [0.0, f64::INFINITY] },
        // Nothing is known of where it lies.
        Class::Described(_) => Place { lateral: [0.0, f64::INFINITY], apart: [0.0, f64::INFINITY] },
    }
}
