//! The listening socket that libdqlite opens and does not show.
#![allow(unsafe_code)]

use std::fs;
use std::os::fd::BorrowedFd;

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::{SocketAddrAny, SocketAddrUnix, getsockname, sockopt};

use super::address::Bindable;

/// Sees to it that programs the host starts do not inherit the node's socket. Version 1.11 means to, but
/// passes the flag in place of the command; a child would then hold the address beyond the node's end.
pub(super) fn close_on_exec(address: &Bindable) {
    for_each_socket(address, |socket| {
        if let Ok(flags) = fcntl_getfd(socket) {
            // A failure leaves what libdqlite would have left.
            let _ = fcntl_setfd(socket, flags | FdFlags::CLOEXEC);
        }
    });
}

/// Closes the socket of a node whose start failed. libdqlite leaves it listening with nobody to answer, so
/// that clients would connect and wait.
pub(super) fn close_abandoned(address: &Bindable) {
    for_each_socket(address, |socket| {
        if sockopt::socket_acceptconn(socket).unwrap_or(false) {
            // SAFETY: the address was free before the node bound it, so the listening socket at it is the
            // node's; its thread has ended and its loop never runs again, so nobody else closes it.
            unsafe { rustix::io::close(std::os::fd::AsRawFd::as_raw_fd(&socket)) };
        }
    });
}

fn for_each_socket(address: &Bindable, mut act: impl FnMut(BorrowedFd<'_>)) {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    let numbers: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for number in numbers {
        // SAFETY: the number was an open descriptor a moment ago. Should another thread have closed it
        // since, the calls below fail, or see another socket, which is left alone unless it has the
        // node's own address.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        if getsockname(descriptor).is_ok_and(|name| is_at(name, address)) {
            act(descriptor);
        }
    }
}

fn is_at(name: SocketAddrAny, address: &Bindable) -> bool {
    match address {
        Bindable::Tcp(address) => name == SocketAddrAny::from(*address),
        Bindable::Abstract(text) => SocketAddrUnix::try_from(name)
            .is_ok_and(|name| name.abstract_name() == Some(text.as_bytes())),
    }
}
