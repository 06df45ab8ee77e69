//! The lookup of the leader: which nodes are asked, when, and what is made of their answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::cancel::CancelHandle;
use crate::config::LookupConfig;
use crate::deadline::Deadline;
use crate::dqlite::probe::{Found, Prober};
use crate::dqlite::store::{NodeInfo, NodeStore, order_for_lookup};
use crate::error::{Error, ErrorKind, NodeCause, Result};
use crate::lock::Mutex;
use crate::net::backoff::Backoff;
use crate::net::wait::{Call, Waker};

/// Looks up the leader among the nodes of a store.
pub(crate) struct Lookup {
    prober: Prober,
    store: Arc<dyn NodeStore>,
    /// Addresses that are asked even if the store does not name them.
    hosts: Vec<String>,
    config: LookupConfig,
    /// What the last round came to that found no leader, for those who wait for another's lookup.
    failure: Mutex<Option<Error>>,
}

impl Lookup {
    pub(crate) fn new(
        prober: Prober,
        store: Arc<dyn NodeStore>,
        hosts: Vec<String>,
        config: LookupConfig,
    ) -> Self {
        Lookup {
            prober,
            store,
            hosts,
            config,
            failure: Mutex::default(),
        }
    }

    /// The error for a caller whose deadline passed while another thread was looking the leader up: what the
    /// nodes have answered to that thread so far.
    pub(crate) fn failure(&self) -> Error {
        match &*self.failure.lock() {
            Some(failure) => failure.copy(),
            None => Error::new(
                ErrorKind::NoLeader,
                "the deadline passed before any node has answered",
            ),
        }
    }

    /// Finds the leader, asking `hint` first.
    ///
    /// A round asks all nodes, several at once; rounds follow each other with growing pauses, and growing
    /// patience with a node that does not answer, until one finds the leader, the retry limit is reached, or
    /// the call ends.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoLeader`] with the cause of each node in the last round. A failure that no repetition
    /// mends (TLS, a configuration) on every node comes back at once.
    pub(crate) fn find(&self, hint: Option<&str>, call: &Call<'_>) -> Result<Found> {
        let mut backoff = Backoff::new(self.config.backoff_factor, self.config.backoff_cap);
        if self.config.retry_limit > 0 {
            backoff = backoff.with_retry_limit(self.config.retry_limit);
        }
        let mut hint = hint;
        let mut patience = self.config.probe_delay;
        let mut rounds = 0;
        let mut last: Option<Error> = None;
        loop {
            rounds += 1;
            let causes = match self.round(hint.take(), patience, call) {
                Ok(found) => {
                    self.prober
                        .logger()
                        .debug(format_args!("the leader is {}", found.leader));
                    *self.failure.lock() = None;
                    return Ok(found);
                }
                Err(causes) => causes,
            };
            if let Some(cause) = causes.first()
                && causes.iter().all(|cause| is_permanent(&cause.error))
            {
                let text = format!(
                    "no node can be used; {}: {}",
                    cause.node,
                    cause.error.message()
                );
                return Err(Error::new(cause.error.kind(), text).with_causes(causes));
            }
            let failure = match last.take() {
                // The end of the call has cut this round short: the one before says more.
                Some(last) if call.check().is_err() => last,
                _ => no_leader(rounds, causes),
            };
            *self.failure.lock() = Some(failure.copy());
            last = Some(failure.copy());
            match backoff.pause(call) {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Closed) => {
                    return Err(error.with_causes(failure.into_causes()));
                }
                _ => return Err(failure),
            }
            patience = (patience * 2).min(self.config.attempt_timeout);
        }
    }

    /// Asks the hint alone, for a short time, and then all nodes.
    fn round(
        &self,
        hint: Option<&str>,
        patience: Duration,
        call: &Call<'_>,
    ) -> Result<Found, Vec<NodeCause>> {
        if let Some(hint) = hint {
            let bounded = call.at_most(Deadline::after(self.config.probe_delay));
            match self.prober.probe(hint, self.config.probe_delay, &bounded) {
                Ok(found) => return Ok(found),
                Err(error) if call.check().is_err() => {
                    let mut causes = vec![cause(hint, error)];
                    let others = self.nodes(call.deadline).unwrap_or_default();
                    causes.extend(others.iter().filter(|node| *node != hint).map(|node| {
                        let text = "the call ended before it was asked";
                        cause(node, Error::new(ErrorKind::Connect, text))
                    }));
                    return Err(causes);
                }
                // It is asked again among the others.
                Err(error) => self.prober.logger().debug(format_args!("{hint}: {error}")),
            }
        }
        let nodes = self
            .nodes(call.deadline)
            .map_err(|error| vec![cause("store", error)])?;
        match nodes.as_slice() {
            [] => Err(vec![cause(
                "store",
                Error::new(ErrorKind::Store, "the store names no node"),
            )]),
            [node] => self
                .prober
                .probe(node, patience, call)
                .map_err(|error| vec![cause(node, error)]),
            _ => self.probe_all(nodes, patience, call),
        }
    }

    /// The addresses to ask, voters first.
    fn nodes(&self, deadline: Deadline) -> Result<Vec<String>> {
        let mut addresses: Vec<String> = order_for_lookup(self.store.get_within(deadline)?)
            .into_iter()
            .map(|node: NodeInfo| node.address)
            .collect();
        for host in &self.hosts {
            if !addresses.contains(host) {
                addresses.push(host.clone());
            }
        }
        Ok(addresses)
    }

    /// Asks several nodes at once, on threads of their own, until one answer leads to the leader.
    ///
    /// Once some node has answered, those that have not are given `patience` and then left: a node that hangs
    /// does not hold up the next round.
    fn probe_all(
        &self,
        nodes: Vec<String>,
        patience: Duration,
        call: &Call<'_>,
    ) -> Result<Found, Vec<NodeCause>> {
        let waker = Waker::current().map_err(|error| vec![cause("store", error)])?;
        let round = Arc::new(Round {
            waiting: Mutex::new(nodes.iter().cloned().collect()),
            answers: Mutex::default(),
            waker: Arc::clone(&waker),
            cancel: CancelHandle::new(),
        });
        let _end = EndOfRound(&round.cancel);
        let mut causes = Vec::new();
        let mut threads = 0;
        for _ in 0..self.config.probe_limit.min(nodes.len()) {
            let (prober, round) = (self.prober.clone(), Arc::clone(&round));
            let deadline = call.deadline;
            let spawned = std::thread::Builder::new()
                .name("quorate-probe".into())
                .spawn(move || {
                    let _running = match round.cancel.enter() {
                        Ok(running) => running,
                        Err(error) => return round.refuse(&error),
                    };
                    let call = Call {
                        deadline,
                        cancel: Some(&round.cancel),
                        closing: None,
                    };
                    round.probe_waiting(&prober, patience, &call);
                });
            if let Err(error) = spawned {
                self.prober.logger().warn(format_args!(
                    "a thread for a probe cannot be started: {error}"
                ));
                break;
            }
            threads += 1;
        }
        if threads == 0 {
            // One after the other, then, each with its share of patience.
            round.probe_waiting(&self.prober, patience, call);
        }
        let mut bounded = *call;
        while causes.len() < nodes.len() {
            let answers = std::mem::take(&mut *round.answers.lock());
            for (node, answer) in answers {
                match answer {
                    Ok(found) => return Ok(found),
                    Err(error) => causes.push(cause(&node, error)),
                }
                bounded = call.at_most(Deadline::after(patience));
            }
            if causes.len() < nodes.len()
                && let Err(error) = bounded.wait(&waker)
            {
                let asked: Vec<_> = causes.iter().map(|cause| cause.node.clone()).collect();
                let silent = nodes.iter().filter(|node| !asked.contains(node));
                causes.extend(silent.map(|node| {
                    let text = if error.kind() == ErrorKind::Timeout {
                        "no answer in time"
                    } else {
                        "given up before it answered"
                    };
                    cause(node, Error::new(ErrorKind::Connect, text))
                }));
            }
        }
        Err(causes)
    }
}

/// What the threads of a round share.
struct Round {
    waiting: Mutex<VecDeque<String>>,
    answers: Mutex<Vec<(String, Result<Found>)>>,
    waker: Arc<Waker>,
    cancel: CancelHandle,
}

impl Round {
    /// Answers `error` for all that wait to be asked.
    fn refuse(&self, error: &Error) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        let refused = waiting.into_iter().map(|node| (node, Err(error.copy())));
        self.answers.lock().extend(refused);
        self.waker.wake();
    }

    fn probe_waiting(&self, prober: &Prober, patience: Duration, call: &Call<'_>) {
        loop {
            let Some(node) = self.waiting.lock().pop_front() else {
                return;
            };
            let answer = prober.probe(&node, patience, call);
            self.answers.lock().push((node, answer));
            self.waker.wake();
        }
    }
}

/// Stops the probes of a round that are still under way.
struct EndOfRound<'a>(&'a CancelHandle);

impl Drop for EndOfRound<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn cause(node: &str, error: Error) -> NodeCause {
    NodeCause {
        node: node.to_owned(),
        error,
    }
}

fn is_permanent(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Tls | ErrorKind::Config | ErrorKind::Authentication | ErrorKind::Unsupported
    )
}

/// The error of a lookup that found no leader.
fn no_leader(rounds: u32, causes: Vec<NodeCause>) -> Error {
    let times = if rounds == 1 { "once" } else { "times" };
    let text = match rounds {
        1 => format!("all nodes were asked {times}"),
        _ => format!("all nodes were asked {rounds} {times}"),
    };
    Error::new(ErrorKind::NoLeader, text).with_causes(causes)
}
