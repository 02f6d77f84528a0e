//! int8 matrix kernels for each instruction set.
