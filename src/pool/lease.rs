//! A connection that is in use, and how it goes back.

use std::sync::Arc;

use crate::backend::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::pool::endpoint::{Endpoint, Permit, Slot};
use crate::process;

/// A connection that is in use. Dropping it gives it back.
pub(crate) struct Lease {
    endpoint: Arc<Endpoint>,
    /// None once the connection was given back.
    permit: Option<Permit>,
}

impl Lease {
    /// The connection of a permit that [`checkout`](Endpoint::checkout) of the same endpoint has answered.
    pub(crate) fn new(endpoint: Arc<Endpoint>, permit: Permit) -> Self {
        Lease {
            endpoint,
            permit: Some(permit),
        }
    }

    fn slot(&self) -> Option<&Slot> {
        Some(self.permit.as_ref()?.item.as_ref()?)
    }

    pub(crate) fn endpoint(&self) -> &Arc<str> {
        self.endpoint.address()
    }

    pub(crate) fn session(&mut self) -> Result<&mut dyn Session> {
        self.permit
            .as_mut()
            .and_then(|permit| permit.item.as_mut()?.session.as_deref_mut())
            .map(|session| session as &mut dyn Session)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "a connection in use has no session"))
    }

    pub(crate) fn peek(&self) -> Option<&dyn Session> {
        let session = self.slot()?.session.as_deref();
        session.map(|session| session as &dyn Session)
    }

    /// Gives the connection back. The caller knows that the process has not been forked since it took the
    /// connection out; a drop has to look.
    pub(crate) fn give_back(mut self) {
        self.put_back();
    }

    fn put_back(&mut self) {
        let Some(mut permit) = self.permit.take() else {
            return;
        };
        let generation = self.endpoint.generation();
        let slot = permit.item.as_ref();
        if !slot.is_some_and(|slot| self.endpoint.takes_back(slot)) {
            // Through r2d2, which drops it; and before the permit, so that there is room for who enters next.
            drop(permit.item.take());
        }
        drop(permit);
        self.endpoint.settle(generation);
    }

    /// Closes the connection instead of giving it back.
    pub(crate) fn discard(mut self) {
        if let Some(slot) = self.permit.as_mut().and_then(|permit| permit.item.as_mut()) {
            slot.session = None;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.permit.is_none() {
            return;
        }
        if process::id() != self.endpoint.process {
            // A forked child: the locks may be held by threads that do not exist here, and the socket is
            // the parent's.
            std::mem::forget(self.permit.take());
            return;
        }
        self.put_back();
    }
}
