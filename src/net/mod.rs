//! What stands between a session and its peer, the same for both databases.

pub(crate) mod address;
pub(crate) mod backoff;
pub(crate) mod dial;
pub(crate) mod flight;
pub(crate) mod resolve;
pub(crate) mod socket;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod wait;
