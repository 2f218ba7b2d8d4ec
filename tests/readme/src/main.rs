//! The first program of the README: `build.rs` extracts it.

include!(concat!(env!("OUT_DIR"), "/program.rs"));
