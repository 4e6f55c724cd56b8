//! Digital heads whose true masks are damaged as networks damage them, and what the rules make of them: the bench
//! `corruption`.

pub mod damage;
pub mod heads;
pub mod shapes;
pub mod study;
pub mod table;
