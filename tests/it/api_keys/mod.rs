//! API keys, from the request to the store.

mod challenges;
mod dispatch;
mod form;
mod holes;
mod life;
mod lists;
mod lookups;
mod marks;
mod outage;
mod peppers;
mod places;
mod probe;
mod processes;
mod record;
mod revoke;
mod rotation;
mod scene;
mod sealed;
mod support;
mod uses;
