//! The C ABI: `include/quorate.h`.
//!
//! The machinery comes first: [`boundary`] is what every exported function consists of, [`handle`] gives
//! objects to C and takes them back, [`view`] passes texts, [`status`] numbers what happened, [`call`] bounds a
//! call, [`callback`] keeps a caller's function with its data, and [`seat`] is a connection that several
//! handles share without Rust's borrows. Then there is one file per C object; its opening comment is the
//! heading of its group in the header, and what its functions' comments say is all that a C programmer reads.
//!
//! # Safety
//!
//! Every exported function is `unsafe` for one reason: its caller has to keep the rules of the header's
//! introduction, "Pointers" above all: a pointer that is not NULL points to what its type says, a handle has
//! not been freed, and both stay so until the function returns. The `SAFETY` comments call this *the header's
//! rules*. Whatever else may go wrong (NULL, a second thread, a closed handle, a bad number) is an answer.

mod boundary;
mod call;
mod callback;
mod handle;
mod seat;
mod status;
mod view;

mod arrow;
mod balance;
mod batch;
mod buffer;
mod bulk;
mod cancel;
mod cluster;
mod config;
mod connection;
mod endpoints;
mod error;
mod event;
mod node;
mod nodes;
mod params;
mod pool;
#[expect(
    clippy::undocumented_unsafe_blocks,
    reason = "the reason of one stands above the call that the block is in"
)]
mod rows;
mod sharding;
mod statement;
mod store;
mod transaction;
mod value;
mod version;

#[cfg(test)]
mod rules;
