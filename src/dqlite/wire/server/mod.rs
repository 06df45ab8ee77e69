//! The server's half of the codec: it reads requests and writes responses.
//!
//! The driver has no use for it; scripted servers in tests and the fuzz targets do.

pub(crate) mod request;
mod response;
pub(crate) mod rows;
