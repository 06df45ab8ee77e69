//! The JSON texts that Picodata puts into columns and notices.

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};

/// Reads a JSON text that the server sent as `what`.
///
/// # Errors
/// [`ErrorKind::Protocol`] names `what` and the place of the fault.
pub(super) fn parse(text: &str, what: &str) -> Result<Value> {
    serde_json::from_str(text)
        .map_err(|error| unexpected(what, "which is not json").with_source(error))
}

/// The server sent something else than `what` is known to be.
pub(super) fn unexpected(what: &str, fault: &str) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("the server sent a {what} {fault}"),
    )
}
