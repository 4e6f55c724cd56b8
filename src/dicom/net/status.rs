//! The one table between verdicts and DIMSE status codes (PS3.4 table B.2-1, PS3.7 annex C), both ways.
