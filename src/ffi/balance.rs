//! Balance
//!
//! Which instance of Picodata a call goes to, where the option `balance` does not say enough. A dqlite cluster has
//! one leader to go to, so there nothing is asked.

use std::ffi::c_void;

use super::boundary::boundary;
use super::callback::{UserData, quorate_destroy_fn};
use super::config::quorate_config;
use super::error::quorate_error;
use super::handle::borrow;
use super::status::{Failure, quorate_status};
use super::value::quorate_bytes;
use crate::topology::{BalanceStrategy, Candidate};

/// An instance that a call may go to, and how it does at the moment.
///
/// The texts are valid during the call and have no NUL behind them; one that is not known has the length 0.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct quorate_candidate {
    /// Where it takes connections, as `host:port`.
    pub address: quorate_bytes,
    /// Its name, such as `default_1_1`.
    pub name: quorate_bytes,
    /// What it is known by, whatever its name and address become: in lower case with hyphens. Where the
    /// instances are not learned from the cluster, the address.
    pub uuid: quorate_bytes,
    /// The uuid of its replicaset.
    pub replicaset: quorate_bytes,
    /// Its tier.
    pub tier: quorate_bytes,
    /// How long it takes to answer, in microseconds: a moving average that sinks while it is not asked; -1 if it
    /// never was.
    pub latency_us: i64,
    /// How many connections of this pool to it are in use.
    pub in_use: u32,
    /// How many connections of this pool to it there may be.
    pub max_conns: u32,
    /// Whether it is the master of its replicaset: the one whose writes the others follow.
    pub is_master: bool,
    /// Whether it is the raft leader of the cluster.
    pub is_leader: bool,
    /// Room for what later versions say; 0.
    pub reserved: [u64; 4],
}

impl From<&Candidate<'_>> for quorate_candidate {
    fn from(candidate: &Candidate<'_>) -> Self {
        let instance = candidate.instance;
        quorate_candidate {
            address: quorate_bytes::of(&instance.address),
            name: quorate_bytes::of(&instance.name),
            uuid: quorate_bytes::of(&instance.uuid),
            replicaset: quorate_bytes::of(&instance.replicaset),
            tier: quorate_bytes::of(&instance.tier),
            latency_us: candidate.latency.map_or(-1, |latency| {
                i64::try_from(latency.as_micros()).unwrap_or(i64::MAX)
            }),
            in_use: candidate.in_use,
            max_conns: candidate.max_conns,
            is_master: instance.is_master,
            is_leader: instance.is_leader,
            reserved: [0; 4],
        }
    }
}

/// Chooses among `candidates`, of which there are `candidates_len`, at least two, and answers the index of one; an
/// index beyond the end counts as 0.
///
/// All are online and admitted by the options `role`, `tier` and `failure_domain`; instances that failed lately are
/// left out where there are others. The order is that of the uuids, the same from call to call. If no connection to
/// the chosen one can be had, the function is asked again with the others.
///
/// Called on the thread whose call takes a connection out of the pool, by several at once. It should answer in
/// microseconds, and must not use the pool.
pub type quorate_balance_fn = Option<
    unsafe extern "C" fn(
        user_data: *mut c_void,
        candidates: *const quorate_candidate,
        candidates_len: usize,
    ) -> usize,
>;

/// Sets the function that chooses among the instances of Picodata, in place of the option `balance`; the option set
/// later takes its place. For dqlite it is kept and never called. `user_data` and `destroy` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_config_set_balance(
    config: *const quorate_config,
    balance: quorate_balance_fn,
    user_data: *mut c_void,
    destroy: quorate_destroy_fn,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // Before anything can fail: the data is destroyed then, too.
    let user = UserData::new(user_data, destroy);
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let choose = balance.ok_or_else(|| Failure::null("balance"))?;
            let config = borrow(config, "config")?;
            config.change(|config| {
                config.set_balance(Strategy { choose, user });
            });
            Ok(())
        })
    }
}

struct Strategy {
    choose: unsafe extern "C" fn(*mut c_void, *const quorate_candidate, usize) -> usize,
    user: UserData,
}

impl BalanceStrategy for Strategy {
    fn choose(&self, candidates: &[Candidate<'_>]) -> usize {
        let candidates: Vec<_> = candidates.iter().map(quorate_candidate::from).collect();
        // SAFETY: the header's rules for the function; the candidates are there during the call.
        unsafe { (self.choose)(self.user.pointer(), candidates.as_ptr(), candidates.len()) }
    }
}
