//! What stands between a session and its peer, the same for both databases.

pub mod address;
pub mod backoff;
pub mod resolve;
pub mod tls;
