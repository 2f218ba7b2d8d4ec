//! Keys in SQL databases: what is so in each of them, and what is peculiar to one.

mod beside;
mod cancelled;
mod full_disk;
mod migrations;
mod postgres;
mod replaced;
mod rows;
mod sqlite;
mod urls;

pub use beside::Folder;
