//! Secrets of clients in SQL databases.

mod encodings;
mod lookups;
mod managing;
mod postgres;
mod sealing;
mod sqlite;
mod support;

use support::Database;

/// What is promised of them, over each kind of database. Each check gets a database with nothing in it.
pub async fn keeps_secrets(fresh: impl AsyncFn() -> String) {
    macro_rules! check {
        ($($check:path),* $(,)?) => {
            $(
                eprintln!("{}", stringify!($check));
                $check(Database::new(fresh().await)).await;
            )*
        };
    }
    check!(
        lookups::a_token_opens_that_a_client_signed_with_its_secret,
        lookups::both_secrets_open_until_one_is_removed,
        lookups::a_client_without_secrets_is_as_unknown_as_none,
        lookups::what_a_client_may_do_counts_from_the_next_request_on,
        lookups::names_are_compared_exactly,
        lookups::secrets_outlive_the_process,
        managing::a_secret_that_exists_already_is_added_once,
        managing::of_many_secrets_that_are_issued_at_once_eight_are_kept,
        managing::nothing_is_left_of_a_client_that_is_removed_while_it_gets_secrets,
        managing::all_clients_are_listed_once_each_in_order,
        managing::what_is_not_there_cannot_be_changed,
        managing::names_that_no_token_could_have_are_refused,
        managing::a_database_from_before_is_brought_up,
        sealing::a_secret_opens_for_no_other_client_and_under_no_other_id,
        sealing::only_the_key_that_sealed_a_secret_opens_it,
        sealing::one_secret_that_does_not_open_fails_its_client_and_no_other,
        sealing::what_is_sealed_anew_needs_no_older_key,
        sealing::a_secret_that_does_not_open_holds_up_no_other,
        sealing::many_who_seal_anew_do_so_once,
    );
}
