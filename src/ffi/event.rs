//! Events
//!
//! What a pool notices about its cluster.

use std::ffi::c_void;

use super::boundary::boundary;
use super::callback::{UserData, quorate_destroy_fn};
use super::config::quorate_config;
use super::error::quorate_error;
use super::handle::borrow;
use super::status::{Failure, quorate_status};
use super::value::quorate_bytes;
use crate::logging::Event;
use crate::topology::Instance;

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum quorate_event_kind {
    /// Another node leads: `address`.
    Leader = 1,
    /// The list of a dqlite cluster's nodes has changed: `count` is how many there are now.
    Nodes = 2,
    /// An instance of Picodata is there that was not there before.
    InstanceCame = 3,
    /// An instance of Picodata is there no longer; it is described as it was last.
    InstanceWent = 4,
    /// An instance of Picodata has another address; it was `before`.
    InstanceMoved = 5,
    /// An instance of Picodata has another state; it was `before`.
    InstanceState = 6,
    /// An instance of Picodata became the master of its replicaset (`is_master`), or is so no longer.
    InstanceRole = 7,
}

/// A change that a pool has noticed. What a kind does not speak of, or what is not known, is 0 or empty.
///
/// The texts are valid during the call and have no NUL behind them. Later versions add kinds, and members at the
/// end.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct quorate_event {
    /// How many bytes the library that runs has filled, for a program that may run with an older one than it was
    /// built with.
    pub size: usize,
    /// A `quorate_event_kind`.
    pub kind: i32,
    /// Whether the instance is the master of its replicaset.
    pub is_master: bool,
    /// Whether the instance is the raft leader.
    pub is_leader: bool,
    /// The number of nodes.
    pub count: u64,
    /// The address of the node or the instance.
    pub address: quorate_bytes,
    /// The name of the instance.
    pub name: quorate_bytes,
    /// The uuid of the instance.
    pub uuid: quorate_bytes,
    /// The uuid of the instance's replicaset.
    pub replicaset: quorate_bytes,
    /// The tier of the instance.
    pub tier: quorate_bytes,
    /// The state of the instance, as the cluster writes it: `Online`, `Offline`, `Expelled`.
    pub state: quorate_bytes,
    /// What it was before.
    pub before: quorate_bytes,
}

impl quorate_event {
    fn new(kind: quorate_event_kind) -> Self {
        let none = quorate_bytes::of("");
        quorate_event {
            size: size_of::<quorate_event>(),
            kind: kind as i32,
            is_master: false,
            is_leader: false,
            count: 0,
            address: none,
            name: none,
            uuid: none,
            replicaset: none,
            tier: none,
            state: none,
            before: none,
        }
    }

    fn of(event: &Event<'_>) -> Self {
        match event {
            Event::Leader(address) => quorate_event {
                address: quorate_bytes::of(address),
                ..quorate_event::new(quorate_event_kind::Leader)
            },
            Event::Nodes(count) => quorate_event {
                count: *count as u64,
                ..quorate_event::new(quorate_event_kind::Nodes)
            },
            Event::InstanceCame(one) => Self::of_instance(quorate_event_kind::InstanceCame, one),
            Event::InstanceWent(one) => Self::of_instance(quorate_event_kind::InstanceWent, one),
            Event::InstanceMoved { instance, from } => quorate_event {
                before: quorate_bytes::of(from),
                ..Self::of_instance(quorate_event_kind::InstanceMoved, instance)
            },
            Event::InstanceState { instance, from } => quorate_event {
                before: quorate_bytes::of(from.as_str()),
                ..Self::of_instance(quorate_event_kind::InstanceState, instance)
            },
            Event::InstanceRole(one) => Self::of_instance(quorate_event_kind::InstanceRole, one),
        }
    }

    fn of_instance(kind: quorate_event_kind, instance: &Instance) -> Self {
        quorate_event {
            is_master: instance.is_master,
            is_leader: instance.is_leader,
            address: quorate_bytes::of(&instance.address),
            name: quorate_bytes::of(&instance.name),
            uuid: quorate_bytes::of(&instance.uuid),
            replicaset: quorate_bytes::of(&instance.replicaset),
            tier: quorate_bytes::of(&instance.tier),
            state: quorate_bytes::of(instance.state.as_str()),
            ..quorate_event::new(kind)
        }
    }
}

/// Is told of an event, which is valid during the call.
///
/// Called on the thread that has noticed: that of a call, or the pool's own. It may ask the pool for its
/// figures (`quorate_pool_stat`), but must make no call that takes a connection.
pub type quorate_event_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, event: *const quorate_event)>;

/// Sets the function that is told of events. `user_data` and `destroy` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quorate_config_set_event(
    config: *const quorate_config,
    event: quorate_event_fn,
    user_data: *mut c_void,
    destroy: quorate_destroy_fn,
    out_error: *mut *mut quorate_error,
) -> quorate_status {
    // Before anything can fail: the data is destroyed then, too.
    let user = UserData::new(user_data, destroy);
    // SAFETY: the header's rules.
    unsafe {
        boundary(out_error, (), || {
            let tell = event.ok_or_else(|| Failure::null("event"))?;
            let config = borrow(config, "config")?;
            config.change(|config| {
                config.set_event(move |event| {
                    let event = quorate_event::of(&event);
                    tell(user.pointer(), &raw const event);
                });
            });
            Ok(())
        })
    }
}
