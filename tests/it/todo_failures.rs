//! What the example prints when it cannot start.

use std::net::TcpListener;

use crate::harness::{Todo, run_example};

#[test]
fn todo_that_cannot_start_ends_with_a_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let plain = "http://127.0.0.1:1";
    for (arguments, sentence) in [
        (
            &["--issuer", plain, "--audience", "x"][..],
            "`http://127.0.0.1:1` cannot be used: plain http needs `allow_http()`".to_owned(),
        ),
        (
            &["--api-keys", "sqlite:///nowhere/keys.db"],
            "the database file cannot be created: No such file or directory (os error 2)".to_owned(),
        ),
        (
            &["--issuer", plain, "--allow-http", "--audience", "x", "--listen", &address],
            format!("cannot listen on {address}: Address already in use (os error 98)"),
        ),
        (
            &["--api-keys", "sqlite::memory:", "keys", "revoke", "x"],
            "there is no API key of this id".to_owned(),
        ),
        (
            &["--api-keys", "sqlite::memory:", "keys", "create", "--label", "x", "--scopes", "a\tb"],
            "`a\\tb` is not a scope-token (RFC 6749 §3.3): visible ASCII without quotes and backslashes"
                .to_owned(),
        ),
    ] {
        let output = run_example("todo", arguments);
        assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("error: {sentence}\n"));
        assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{sentence}");
    }
    Todo::start(&["--issuer", plain, "--allow-http", "--audience", "x"]);
}
