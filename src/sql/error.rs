//! What errors of databases mean.

use crate::store::StoreError;

/// A text that the database has no characters for, or takes for no text. In PostgreSQL that depends
/// on the encoding with which the database was made.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotHeld(String);

/// The text alone: what else an error of a database holds may show the row that it was about.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => Self::new("no connection to the database within the time for it"),
            // What stands in one row, or what is asked about.
            sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
                Self::unreadable(error.to_string())
            }
            sqlx::Error::Database(refusal) => match refusal.code().as_deref() {
                Some("22021" | "22P05") => Self::unreadable(NotHeld(error.to_string())),
                Some(code) if is_of_one_value(code) => Self::unreadable(error.to_string()),
                _ => Self::new(error.to_string()),
            },
            _ => Self::new(error.to_string()),
        }
    }
}

/// Class 22 of the SQLSTATEs, "data exception". The codes of SQLite have fewer digits.
fn is_of_one_value(code: &str) -> bool {
    code.len() == 5 && code.starts_with("22")
}

/// What comes of looking for these names: `absent` where the database cannot hold one of them,
/// since nothing in it has that name.
pub(super) fn or_absent<T>(
    result: Result<T, impl Into<StoreError>>,
    names: &[&str],
    absent: T,
) -> Result<T, StoreError> {
    match result.map_err(Into::into) {
        // Every encoding has ASCII: then the error is about what was found.
        Err(error) if error.is::<NotHeld>() && names.iter().any(|name| !name.is_ascii()) => Ok(absent),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_exceptions_are_about_one_value() {
        for (code, expected) in [
            ("22021", true),
            ("22001", true),
            ("23505", false),
            ("53100", false),
            ("57P01", false),
            ("22", false),
            ("2250", false),
            ("", false),
        ] {
            assert_eq!(is_of_one_value(code), expected, "{code}");
        }
    }

    #[test]
    fn ascii_name_is_not_absent_whatever_the_error_says() {
        let refused = || Err::<Option<()>, _>(StoreError::unreadable(NotHeld("no such character".into())));
        assert!(or_absent(refused(), &["a"], None).is_err());
        assert!(or_absent(refused(), &["a", "€"], None).is_ok());
        let down = Err::<Option<()>, _>(StoreError::unreadable("another error"));
        assert!(or_absent(down, &["€"], None).is_err());
    }
}
