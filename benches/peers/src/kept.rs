//! Where results are kept between a run and the report.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The root of the repository.
pub fn repository() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("the package is two folders down").to_owned()
}

/// The folder that results are in.
pub fn folder() -> PathBuf {
    repository().join("target/performance")
}

/// # Panics
/// If the disk is full, or the like.
pub fn write(name: &str, results: &impl Serialize) {
    let path = folder().join(name);
    fs::create_dir_all(folder()).expect("a folder for results");
    fs::write(&path, serde_json::to_vec_pretty(results).expect("plain data")).expect("results on the disk");
    eprintln!("wrote {}", path.display());
}

/// What a run left, if it did.
///
/// # Panics
/// If it is of another form: then that run was one of another version.
pub fn read<T: DeserializeOwned>(name: &str) -> Option<T> {
    let bytes = fs::read(folder().join(name)).ok()?;
    Some(
        serde_json::from_slice(&bytes)
            .unwrap_or_else(|error| panic!("{name} is of another version: {error}")),
    )
}
