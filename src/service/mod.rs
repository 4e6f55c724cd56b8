//! Receive, segment, deliver: the only room that knows the order of the stages.
