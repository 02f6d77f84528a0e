//! Training on the graph that is deployed.
