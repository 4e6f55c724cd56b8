//! Digital heads whose true masks are damaged as networks damage them, and what the rules make of them: shared by the
//! bench `corruption` and its test.

pub mod damage;
pub mod heads;
pub mod shapes;
pub mod study;
pub mod table;
