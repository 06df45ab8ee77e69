//! How a call finds the endpoint that it gets a connection to.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Aim, Route, Target};
use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, NodeCause, Outcome, Result};
use crate::net::backoff::Backoff;
use crate::net::wait::Call;
use crate::pool::core::{Core, cause, is_passing, retry_backoff};
use crate::pool::endpoint::{Endpoint, Unavailable};
use crate::pool::lease::Lease;

/// How long a call waits for a new connection to one of several endpoints at most, and a third of the time that it
/// has left, before it turns to the next.
const PATIENCE: Duration = Duration::from_secs(2);

/// What one call has met so far.
#[derive(Default)]
struct Search {
    /// The endpoints that have failed, and behind them those of which all connections are in use.
    avoid: Vec<Arc<str>>,
    /// How many are of the latter kind.
    full: usize,
    /// Whether there is nothing left but to wait at one of them.
    waits: bool,
    causes: Vec<NodeCause>,
    /// The pauses between the tries of the only endpoint that serves.
    backoff: Option<Backoff>,
}

impl Search {
    /// Passes an endpoint by of which all connections are in use, as long as another one may have a connection.
    fn passes_by(&mut self, endpoint: &Endpoint) -> bool {
        if self.waits {
            return false;
        }
        self.full += 1;
        self.avoid.push(Arc::clone(endpoint.address()));
        true
    }

    /// No endpoint is left that is not to be avoided: it goes back to those of which all connections are in use, once.
    fn none_left(&mut self) -> Result<()> {
        if self.waits || self.full == 0 {
            let text = "no instance of the cluster can be reached";
            let causes = std::mem::take(&mut self.causes);
            return Err(Error::new(ErrorKind::Connect, text).with_causes(causes));
        }
        self.waits = true;
        self.avoid.truncate(self.avoid.len() - self.full);
        self.full = 0;
        Ok(())
    }

    /// Another endpoint may do what this one could not.
    fn avoid(&mut self, address: &Arc<str>, error: Error) {
        let failed = self.avoid.len() - self.full;
        self.avoid.insert(failed, Arc::clone(address));
        self.causes.push(cause(address, error));
    }
}

/// What a call has found where it was routed to first.
enum First {
    Found(Lease),
    /// Nothing that lay ready: it goes there, or elsewhere.
    Goes(Option<Route>),
}

impl Core {
    /// Takes a connection out, from the endpoint that the backend routes to.
    ///
    /// What fails for a passing reason is tried again, on another endpoint if there is one, until the call
    /// ends or the pool closes. The outcome of an error is always `NotSent`. The caller has checked that the
    /// pool is open. `now` is now, to within a tick of the kernel.
    pub(crate) fn lease(&self, aim: Aim<'_>, call: &Call<'_>, now: Moment) -> Result<Lease> {
        let own = Deadline::begin_at(now, self.config.pool.acquire_timeout);
        let call = Call {
            closing: Some(self.closing()),
            ..call.at_most(own)
        };
        self.first(aim, &call, now)
            .and_then(|first| match first {
                First::Found(lease) => Ok(lease),
                First::Goes(route) => self.search(aim, &call, now, route),
            })
            .map_err(|error| error.with_outcome(Outcome::NotSent))
    }

    /// Where a call goes first, and the connection that lies ready there, if one does: what nearly every call comes to.
    #[inline]
    fn first(&self, aim: Aim<'_>, call: &Call<'_>, now: Moment) -> Result<First> {
        let Some(route) = self.route(aim, &[], call)? else {
            return Ok(First::Goes(None));
        };
        if route.session.is_none() {
            let endpoint = self.endpoint(&route.endpoint, route.exclusive)?;
            if let Some(slot) = endpoint.take_idle(now) {
                self.counters.acquired();
                return Ok(First::Found(Lease::new(endpoint, slot)));
            }
        }
        Ok(First::Goes(Some(route)))
    }

    fn route(&self, aim: Aim<'_>, avoid: &[Arc<str>], call: &Call<'_>) -> Result<Option<Route>> {
        let target = Target {
            avoid,
            load: &|endpoint| self.in_use(endpoint),
            aim,
            refresh: &|| self.signal.poke(),
        };
        self.backend.route(&target, call)
    }

    /// Takes a connection out from the endpoint of `route` or, where that cannot be or there is none, from another one.
    #[inline(never)]
    fn search(
        &self,
        aim: Aim<'_>,
        call: &Call<'_>,
        now: Moment,
        mut route: Option<Route>,
    ) -> Result<Lease> {
        let mut search = Search::default();
        loop {
            let next = match route.take() {
                Some(route) => Some(route),
                None => self.route(aim, &search.avoid, call)?,
            };
            let Some(route) = next else {
                search.none_left()?;
                continue;
            };
            let endpoint = self.endpoint(&route.endpoint, route.exclusive)?;
            let permit = endpoint.try_enter();
            if permit.is_none() && !route.exclusive && search.passes_by(&endpoint) {
                continue;
            }
            let others = || self.backend.has_others(endpoint.address(), &search.avoid);
            // One that does not answer leaves time for the next ones.
            let patience = || {
                let left = call.deadline.remaining().unwrap_or(Duration::MAX);
                (!route.exclusive && others()).then(|| (left / 3).min(PATIENCE))
            };
            let (backend, ready) = (&*self.backend, route.session);
            match endpoint.checkout(backend, ready, permit, call, &patience, now) {
                Ok(slot) => {
                    self.counters.acquired();
                    return Ok(Lease::new(endpoint, slot));
                }
                Err(Unavailable::Retired | Unavailable::LeftOut) => {}
                Err(Unavailable::Failed(error)) if error.kind() == ErrorKind::PoolTimeout => {
                    // It has waited for another thread, and not for the endpoint.
                    if route.exclusive || call.check().is_err() {
                        return Err(error);
                    }
                    continue;
                }
                Err(Unavailable::Failed(error)) => {
                    let address = endpoint.address();
                    let error = self.failed(address, error, call)?;
                    if route.exclusive {
                        search
                            .backoff
                            .get_or_insert_with(retry_backoff)
                            .pause(call)
                            .map_err(|_| error.with_node(&**address))?;
                    } else {
                        search.avoid(address, error);
                    }
                }
            }
            self.check_open()?;
        }
    }

    /// An endpoint gave no connection. Answers the error if the call may go on, or else fails with it.
    fn failed(&self, address: &Arc<str>, error: Error, call: &Call<'_>) -> Result<Error> {
        let was_slow = error.kind() == ErrorKind::Timeout && call.check().is_ok();
        let error = if was_slow {
            Error::new(
                ErrorKind::Connect,
                "no connection in good time; another instance may be quicker",
            )
            .with_source(error)
        } else {
            error
        };
        self.report(address, &error);
        match call.check() {
            // Its deadline has passed since.
            Err(end) if was_slow => Err(end.with_node(&**address)),
            Ok(()) if is_passing(&error) => Ok(error),
            _ => Err(error.with_node(&**address)),
        }
    }
}
