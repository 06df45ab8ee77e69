//! Listens in on what a pool sends.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

use quorate::Deadline;

pub const PREPARE: u8 = 4;
pub const EXEC: u8 = 5;
pub const QUERY: u8 = 6;
pub const FINALIZE: u8 = 7;
pub const EXEC_SQL: u8 = 8;
pub const QUERY_SQL: u8 = 9;
pub const INTERRUPT: u8 = 10;

/// Keeps the types of the requests that concern statements, over all connections dialled through it.
#[derive(Clone, Default)]
pub struct Tap {
    kinds: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    /// The types of the requests since the last call. A request is noted before the server has it, so all
    /// those that were answered are there.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.kinds.lock().unwrap())
    }

    /// Connects to `address` over a relay; for [`quorate::Config::set_dial`].
    pub fn dial(&self, address: &str, _deadline: Deadline) -> io::Result<OwnedFd> {
        let server = TcpStream::connect(address)?;
        server.set_nodelay(true)?;
        let (ours, theirs) = UnixStream::pair()?;
        let (mut from_server, mut to_client) = (server.try_clone()?, ours.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from_server, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Both);
        });
        let tap = self.clone();
        thread::spawn(move || {
            let _ = tap.relay(ours, &server);
            let _ = server.shutdown(Shutdown::Both);
        });
        Ok(theirs.into())
    }

    fn relay(&self, mut client: UnixStream, mut server: &TcpStream) -> io::Result<()> {
        let mut version = [0; 8];
        client.read_exact(&mut version)?;
        server.write_all(&version)?;
        loop {
            let mut message = vec![0; 8];
            client.read_exact(&mut message)?;
            let words = u32::from_le_bytes([message[0], message[1], message[2], message[3]]);
            message.resize(8 + words as usize * 8, 0);
            client.read_exact(&mut message[8..])?;
            let kind = message[4];
            if (PREPARE..=INTERRUPT).contains(&kind) {
                self.kinds.lock().unwrap().push(kind);
            }
            server.write_all(&message)?;
        }
    }
}
