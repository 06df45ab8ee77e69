//! When a call ends, and who may end it early.

use std::time::Duration;

use crate::cancel::{CancelHandle, Running};
use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::error::Result;
use crate::net::wait::Call;
use crate::pool::core::Core;

/// The bounds of a call that begins now, and the moment at which it does: `deadline` if there is one, else the
/// connection's timeout, else the configured one.
pub(super) fn begin<'a>(
    core: &Core,
    deadline: Option<Deadline>,
    timeout: Option<Option<Duration>>,
    cancel: Option<&'a CancelHandle>,
) -> (Call<'a>, Moment) {
    let (deadline, now) = begin_at(core, deadline, timeout);
    (within(deadline, cancel), now)
}

pub(super) fn begin_at(
    core: &Core,
    deadline: Option<Deadline>,
    timeout: Option<Option<Duration>>,
) -> (Deadline, Moment) {
    match deadline {
        Some(deadline) => (deadline, Moment::now()),
        None => Deadline::begin(timeout.unwrap_or(core.config.timeout)),
    }
}

pub(super) fn within(deadline: Deadline, cancel: Option<&CancelHandle>) -> Call<'_> {
    Call {
        deadline,
        cancel,
        closing: None,
    }
}

/// Marks the calling thread as inside a call that `cancel` cancels.
pub(super) fn enter(cancel: Option<&CancelHandle>) -> Result<Option<Running<'_>>> {
    cancel.map_or(Ok(None), CancelHandle::enter)
}
