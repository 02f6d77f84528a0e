//! Experiment files, plans, journal, statistics.
