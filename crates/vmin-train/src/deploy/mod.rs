//! From a trained float network to the integer graph that runs on the accelerator.

pub mod codes;
