//! How a connection is closed whose node has still to answer.
//!
//! In 1.18.6 a connection that is closed before or amid the rows of a query, in a transaction that has written, keeps the
//! lock of its database for good: every write is refused from then on (docs/dqlite.md). So the answers are received to
//! their end first, on a thread of their own, where nobody waits for them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::dqlite::channel::Channel;
use crate::net::wait::Call;

/// How long a node is heard out at most.
const LIMIT: Duration = Duration::from_secs(30);
/// How many nodes are heard out at once; a connection beyond is closed at once.
const MOST: usize = 16;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// One of those that are heard out.
struct Turn;

impl Turn {
    fn take() -> Option<Turn> {
        let before = UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        // One too many goes back when it is dropped.
        (before < MOST).then_some(Turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Receives the answers that are on their way, on a thread of their own, and closes the connection then. Never blocks.
pub(super) fn hear_out(mut channel: Channel) {
    let Some(turn) = Turn::take() else {
        return;
    };
    let listen = move || {
        let _turn = turn;
        // What becomes of it concerns nobody: the connection is closed.
        let _ = channel.hear_out(&Call::until(Deadline::after(LIMIT)));
    };
    // Without a thread it is closed at once.
    let _ = thread::Builder::new()
        .name("quorate-parting".into())
        .spawn(listen);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dqlite::wire::request::Request;
    use crate::dqlite::wire::{RESPONSE_ROWS, VERSION};
    use crate::net::socket::Socket;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    /// A part of rows without any: `marker` says whether it is the last.
    fn part(marker: u8) -> Vec<u8> {
        [&[1, 0, 0, 0, RESPONSE_ROWS, 0, 0, 0], &[marker; 8][..]].concat()
    }

    #[test]
    fn a_connection_is_closed_when_the_last_part_of_the_rows_has_come() {
        let (ours, mut node) = UnixStream::pair().unwrap();
        let mut channel = Channel::new(Socket::new(ours.into()).unwrap(), VERSION, 1 << 20);
        let soon = Call::until(Deadline::after(Duration::from_secs(10)));
        channel.queue(&Request::Leader).unwrap();
        channel.flush(&soon).unwrap();
        // The version, and the request.
        node.read_exact(&mut [0; 8 + 16]).unwrap();
        assert!(channel.is_owed(), "before the first part");
        node.write_all(&part(0xee)).unwrap();
        channel.receive(&soon).unwrap();
        assert!(channel.is_owed(), "amid the rows");
        channel.set_broken();
        hear_out(channel);
        for _ in 0..1000 {
            node.write_all(&part(0xee)).unwrap();
        }
        node.set_nonblocking(true).unwrap();
        assert!(node.read(&mut [0; 8]).is_err(), "it is open still");
        node.set_nonblocking(false).unwrap();
        node.set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        node.write_all(&part(0xff)).unwrap();
        assert_eq!(node.read(&mut [0; 8]).unwrap(), 0, "it is closed");
    }
}
