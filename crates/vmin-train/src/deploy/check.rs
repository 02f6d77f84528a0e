//! The integer network against the float network on the same images.
