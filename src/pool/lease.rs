//! A connection that is in use, and how it goes back.

use std::sync::Arc;

use crate::backend::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::pool::endpoint::{Endpoint, Taken};
use crate::process;

/// A connection that is in use. Dropping it gives it back.
pub(crate) struct Lease {
    endpoint: Arc<Endpoint>,
    /// None once the connection was given back.
    slot: Option<Taken>,
}

impl Lease {
    /// The connection that [`checkout`](Endpoint::checkout) of the same endpoint has answered.
    pub(crate) fn new(endpoint: Arc<Endpoint>, slot: Taken) -> Self {
        Lease {
            endpoint,
            slot: Some(slot),
        }
    }

    pub(crate) fn endpoint(&self) -> &Arc<str> {
        self.endpoint.address()
    }

    pub(crate) fn session(&mut self) -> Result<&mut dyn Session> {
        self.slot
            .as_mut()
            .and_then(|slot| slot.session.as_deref_mut())
            .map(|session| session as &mut dyn Session)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "a connection in use has no session"))
    }

    pub(crate) fn peek(&self) -> Option<&dyn Session> {
        let session = self.slot.as_ref()?.session.as_deref();
        session.map(|session| session as &dyn Session)
    }

    /// Gives the connection back. The caller knows that the process has not been forked since it took the
    /// connection out; a drop has to look.
    pub(crate) fn give_back(mut self) {
        if let Some(slot) = self.slot.take() {
            self.endpoint.take_back(slot);
        }
    }

    /// Closes the connection instead of giving it back.
    pub(crate) fn discard(mut self) {
        if let Some(slot) = &mut self.slot {
            slot.part();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else {
            return;
        };
        if process::id() != self.endpoint.process {
            // A forked child: the locks may be held by threads that do not exist here, and the socket is
            // the parent's.
            std::mem::forget(slot);
            return;
        }
        self.endpoint.take_back(slot);
    }
}
