//! Timeouts
//!
//! Every function that may block takes `timeout_ms`, in milliseconds, and an optional `cancel`. The timeout
//! covers everything that the call does: waiting for a connection, finding the leader, dialling, the answer.

use std::time::Duration;

use super::cancel::quorate_cancel;
use super::status::{Answer, Failure};
use crate::cancel::CancelHandle;
use crate::deadline::Deadline;

/// The timeout that the pool is configured with (the option `timeout`, 30 seconds unless set).
pub const QUORATE_TIMEOUT_DEFAULT: i64 = -1;

/// No timeout: the call takes as long as it takes, or until it is cancelled.
pub const QUORATE_TIMEOUT_NONE: i64 = i64::MAX;

/// What bounds one call.
pub(super) struct Bounds<'a> {
    /// `None` is the configured timeout.
    pub(super) deadline: Option<Deadline>,
    pub(super) cancel: Option<&'a CancelHandle>,
}

/// # Safety
///
/// `cancel` is NULL or a handle that stays for `'a`.
#[inline]
pub(super) unsafe fn bounds<'a>(
    timeout_ms: i64,
    cancel: *const quorate_cancel,
) -> Answer<Bounds<'a>> {
    let deadline = match timeout_ms {
        QUORATE_TIMEOUT_DEFAULT => None,
        QUORATE_TIMEOUT_NONE => Some(Deadline::NONE),
        _ => match u64::try_from(timeout_ms) {
            Ok(ms) => Some(Deadline::after(Duration::from_millis(ms))),
            Err(_) => {
                return Err(Failure::misuse(format!(
                    "the timeout is {timeout_ms} ms; -1 stands for the configured one, and less for nothing"
                )));
            }
        },
    };
    // SAFETY: the caller's.
    let cancel = unsafe { cancel.as_ref() }.map(|cancel| &cancel.handle);
    Ok(Bounds { deadline, cancel })
}
