//! Tests against independent vectors.

mod vectors;
