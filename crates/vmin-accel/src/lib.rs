//! Accelerator description, dataflow mapping, cycles, traffic, energy, voltage profiles.
