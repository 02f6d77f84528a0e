//! SRAM geometry, populations of chips, fault maps.
