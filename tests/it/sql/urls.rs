//! What is said of a URL that leads nowhere.

use portcullis::SqlStore;
use tokio::task::JoinSet;

use super::beside::Folder;

async fn error(url: String) -> String {
    let error = SqlStore::connect(&url).await.expect_err(&url);
    format!("{error} {error:?}")
}

#[tokio::test]
async fn no_error_shows_the_password() {
    let urls = [
        "postgres://user:hunter2@127.0.0.1:1/db",
        "postgres://127.0.0.1:1/db?user=user&password=hunter2",
        "postgres://user:hunter2@127.0.0.1:1/db?sslmode=require",
        "postgres://user:hunter2@127.0.0.1:99999/db",
        "postgres://user:hunter2@[::1/db",
        "postgres://user:hunter2/more@127.0.0.1:1/db",
        "postgres://user:hunter2#more@127.0.0.1:1/db",
        "postgres://user:hunter2?more@127.0.0.1:1/db",
        "postgres://user:%ff-hunter2@127.0.0.1:1/db",
        "postgres://127.0.0.1:1/db?pass=hunter2",
        "postgres:hunter2",
        "postgres:",
        "mysql://user:hunter2@127.0.0.1:1/db",
        "hunter2:",
        "hunter2",
        "",
        "sqlite://hunter2/hunter2/hunter2.db",
    ];
    let errors: JoinSet<_> = urls.map(|url| error(url.to_owned())).into_iter().collect();
    for error in errors.join_all().await {
        assert!(!error.contains("hunter2") && error.len() > 20, "{error}");
    }
}

#[tokio::test]
async fn a_parameter_that_would_be_passed_over_is_refused() {
    let reached = error("postgres://127.0.0.1:1/db?sslmode=disable&options[search_path]=keys".into()).await;
    assert!(reached.contains("no connection"), "{reached}");
    for misspelt in ["ssl_mode=verify-full", "sslMode=verify-full", "sslmode=disable&pass=x", "x"] {
        let refused = error(format!("postgres://127.0.0.1:1/db?{misspelt}")).await;
        assert!(refused.contains("parameter"), "{misspelt}: {refused}");
    }
}

#[tokio::test]
async fn a_file_must_be_named_and_be_one() {
    let folder = Folder::new();
    std::fs::create_dir(folder.file("folder")).unwrap();
    std::fs::write(folder.file("text"), "x".repeat(4096)).unwrap();
    for name in ["folder", "text", "nowhere/keys.db"] {
        error(folder.sqlite(name)).await;
    }
    for url in ["sqlite:", "sqlite://", "sqlite://?mode=rwc", "sqlite:file:keys.db"] {
        assert!(error(url.into()).await.contains("must name a file"), "{url}");
    }
    assert!(SqlStore::connect(&folder.sqlite("keys.db")).await.is_ok());
}
