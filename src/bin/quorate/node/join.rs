//! How a node that was started becomes a voter of a cluster.

use std::thread;
use std::time::Duration;

use quorate::dqlite::ClusterClient;
use quorate::dqlite::store::NodeRole;
use quorate::{Error, ErrorKind, Outcome, Result};

/// How long one attempt may take: the lookup of the leader, or the time until a new voter has caught up.
const ATTEMPT: Duration = Duration::from_secs(10);

/// The pause after an attempt that failed for a passing reason, and after any other.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What is still to be done for a node to be a member.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Add,
    Promote,
    Done,
}

/// Has the leader of `cluster` add the node and make it a voter, unless it is a member already. Repeats
/// what fails, and says so on standard error, for as long as it takes.
///
/// # Errors
///
/// [`ErrorKind::Config`]: the id or the address is another node's.
pub(super) fn join(cluster: &ClusterClient, id: u64, address: &str) -> Result<()> {
    loop {
        match advance(&cluster.within(ATTEMPT), id, address) {
            Ok(Step::Done) => return Ok(()),
            Ok(Step::Add | Step::Promote) => {}
            Err(error) if error.kind() == ErrorKind::Config => return Err(error),
            // Whether a change of unknown outcome was made, the next list shows.
            Err(error) if error.outcome() == Outcome::Unknown || error.is_retryable() => {
                if error.kind() == ErrorKind::NoLeader {
                    eprintln!("quorate: node {id} waits to join: {error}");
                }
                thread::sleep(PAUSES.0);
            }
            Err(error) => {
                eprintln!("quorate: node {id} waits to join: {error}");
                thread::sleep(PAUSES.1);
            }
        }
    }
}

/// Takes the next step towards membership, and answers which one it was.
fn advance(cluster: &ClusterClient, id: u64, address: &str) -> Result<Step> {
    let members = cluster.nodes()?;
    let step = match members
        .iter()
        .find(|member| member.id == id || member.address == address)
    {
        None => Step::Add,
        Some(member) if member.id != id || member.address != address => {
            return Err(Error::new(
                ErrorKind::Config,
                format!(
                    "cannot join as node {id} at {address}: the cluster has node {} at {}",
                    member.id, member.address
                ),
            ));
        }
        // A spare is what an attempt leaves that ended between the two changes.
        Some(member) if member.role == NodeRole::Spare => Step::Promote,
        Some(_) => Step::Done,
    };
    match step {
        Step::Add => cluster.add(id, address)?,
        Step::Promote => cluster.assign(id, NodeRole::Voter)?,
        Step::Done => {}
    }
    Ok(step)
}
