//! Volumes that organs of adults have, from the literature; that of the brainstem from the synthetic heads, those of
//! described classes from the card.
//!
//! Wide on purpose: what lies outside is no organ, or an ill one. What is usual for a model's own contours is in its card.

use crate::anatomy::Class;

/// Least and greatest volume of one organ, and where that is from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reference {
    /// cm3.
    pub cc: [f64; 2],
    /// Who measured it.
    pub source: &'static str,
}

/// What adults have of a class, where it is known; one side of a bilateral organ.
pub fn reference(class: Class) -> Option<Reference> {
    Some(match class {
        // Balls of 21 to 27 mm, the range of transverse diameters; mean volume by MR 6.3 (Heymsfield and others, Anatomy &
        // Physiology 6, 2016). The least is what the rules take for an eye.
        Class::Eye => Reference { cc: [4.0, 10.3], source: "Bekerman and others, J. Ophthalmology 2014" },
        // By weight 0.15 to 0.3 g from the third decade to old age.
        Class::Lens => Reference { cc: [0.1, 0.32], source: "Mohamed and Augusteyn, Molecular Vision 24, 2018" },
        // Rods of 3.5 to 4 mm, the diameters behind the eye, and 45 to 55 mm from eye to chiasm: 0.43 to 0.69; half of the
        // least, as a nerve is drawn too short, and 1.6 times the most, as voxels around it are drawn as well.
        Class::OpticNerve => Reference { cc: [0.2, 1.1], source: "diameters of Karim and others, IOVS 45, 2004" },
        // A coronal area of 44 mm2 (SD 5), 4 to 13 mm from front to back.
        Class::Chiasm => Reference { cc: [0.1, 0.7], source: "areas of Wagner and others, AJNR 18, 1997" },
        // Mean 0.33 with SD 0.15; three SD upwards.
        Class::Pituitary => Reference { cc: [0.05, 0.8], source: "Ibinaiye and others, J. Clin. Imaging Sci. 5, 2015" },
        Class::Hippocampus => Reference { cc: [1.73, 5.68], source: "Honeycutt and Smith, J. Neuroimaging 5, 1995" },
        // Studies differ in where it ends above and below.
        Class::Brainstem => Reference { cc: [14.0, 42.0], source: "the synthetic heads' own 16 to 38 cm3, widened" },
        Class::Brain => Reference { cc: [850.0, 2000.0], source: "Courchesne and others, Radiology 216, 2000" },
        Class::Described(of) => {
            let of = of.description();
            return of.volume_cc.zip(of.volume_source.as_deref()).map(|(cc, source)| Reference { cc, source });
        }
    })
}
