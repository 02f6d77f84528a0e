//! Runs a network on a chip under a placement.
