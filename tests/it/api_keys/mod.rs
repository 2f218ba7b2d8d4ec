//! API keys, from the request to the store.

mod life;
mod support;
