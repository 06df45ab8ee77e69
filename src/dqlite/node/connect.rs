//! How a node of this process reaches the others.
//!
//! libdqlite has a connect function of its own, but that one takes numeric IPv4 addresses alone (up to 1.18.6),
//! waits for as long as the kernel does and leaves its sockets open in child processes.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::panic;
use std::time::Duration;

use super::address::Address;

/// How long one address of a node may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The function that libdqlite calls, on a thread of libuv's pool, to reach the node at `address`.
///
/// # Safety
///
/// `address` has to be a NUL-terminated text and `socket` a place to write to.
pub(super) unsafe extern "C" fn connect(
    _argument: *mut c_void,
    address: *const c_char,
    socket: *mut c_int,
) -> c_int {
    // SAFETY: libdqlite passes the address from its own list of the cluster's nodes, NUL-terminated, and
    // keeps it until this returns.
    let address = unsafe { CStr::from_ptr(address) };
    let dialled = panic::catch_unwind(|| {
        let address = address.to_string_lossy();
        dial(&address).map_err(|error| log::debug!("cannot reach node {address}: {error}"))
    });
    match dialled {
        Ok(Ok(connected)) => {
            // SAFETY: libdqlite passes a place for the descriptor, which it owns from here on.
            unsafe { *socket = connected.into_raw_fd() };
            0
        }
        _ => 1,
    }
}

/// A blocking socket connected to the node at `address`.
fn dial(address: &str) -> io::Result<OwnedFd> {
    let invalid = |error: crate::error::Error| io::Error::new(io::ErrorKind::InvalidInput, error);
    match Address::parse(address).map_err(invalid)? {
        Address::Abstract(name) => {
            let address = UnixAddress::from_abstract_name(name)?;
            Ok(UnixStream::connect_addr(&address)?.into())
        }
        Address::Tcp { host, port } => {
            let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            for address in (host.as_str(), port).to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        return Ok(stream.into());
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
    }
}
