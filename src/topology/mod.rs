//! Which instances there are, and which of them a call goes to.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `instance` | one instance, as the cluster describes it |
//! | `snapshot` | all instances at one moment |
//! | `change` | what differs between two moments |
//! | `filter` | which instances a call may go to: role, tier, failure domain |
//! | `balance` | which one of them it goes to |
//! | `latency` | the moving average that a choice may follow |
//! | `breaker` | whether an instance that failed is tried again |
//! | `health` | what counts as a failure: the breaker and the latency of one address |
//!
//! Nothing here does I/O, reads a clock or starts a thread: a worker reads the cluster's tables and makes a
//! [`Snapshot`], and a router asks these types with the time in its hand.

mod balance;
mod breaker;
mod change;
mod filter;
mod health;
mod instance;
mod latency;
mod snapshot;

pub(crate) use balance::choose;
pub use balance::{BalanceStrategy, Candidate, LeastBusy, LowestLatency, RandomChoice, RoundRobin};
use breaker::{Admission, Breaker};
pub(crate) use change::{Change, diff};
pub(crate) use filter::{Filter, RoleFilter};
pub(crate) use health::Health;
pub use instance::{Instance, InstanceState};
use latency::Latency;
pub(crate) use snapshot::Snapshot;

#[cfg(test)]
pub(crate) use instance::testing;
