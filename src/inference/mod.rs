//! An image on the working grid to the votes of three networks.
