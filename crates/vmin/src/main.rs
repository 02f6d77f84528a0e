//! `vmin`: how low can the supply voltage of an accelerator's memories go?
fn main() {}
