//! What the library tells of its work: to the callback of a pool, or else to the `log` facade.

use std::fmt;
use std::sync::Arc;

use crate::topology::{Instance, InstanceState};

/// How much a message matters.
///
/// The numbers are part of the C ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum LogLevel {
    /// Something does not work and will not by itself.
    Error = 1,
    /// Something does not work at the moment.
    Warn = 2,
    /// A change in the cluster.
    Info = 3,
    /// What helps to find a fault.
    Debug = 4,
}

impl From<LogLevel> for log::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => log::Level::Error,
            LogLevel::Warn => log::Level::Warn,
            LogLevel::Info => log::Level::Info,
            LogLevel::Debug => log::Level::Debug,
        }
    }
}

/// A change that a pool has noticed.
///
/// Changes of Picodata's instances are told after they took effect, by the pool's own thread, in the order of the
/// instances' uuids; one instance may have changed in several ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Another node leads, with Picodata the raft group: its address.
    Leader(&'a str),
    /// The list of the cluster's nodes has changed: how many there are now.
    Nodes(usize),
    /// An instance of Picodata is there that was not there before.
    InstanceCame(&'a Instance),
    /// An instance of Picodata is there no longer; it is described as it was last.
    InstanceWent(&'a Instance),
    /// An instance of Picodata has another address.
    InstanceMoved {
        /// The instance as it is now.
        instance: &'a Instance,
        /// The address that it had.
        from: &'a str,
    },
    /// An instance of Picodata has another state.
    InstanceState {
        /// The instance as it is now.
        instance: &'a Instance,
        /// The state that it was in.
        from: &'a InstanceState,
    },
    /// An instance of Picodata became the master of its replicaset, or is so no longer.
    InstanceRole(&'a Instance),
}

type LogFn = dyn Fn(LogLevel, &str) + Send + Sync;
type EventFn = dyn Fn(Event<'_>) + Send + Sync;

/// Where the messages and events of one pool go.
#[derive(Clone, Default)]
pub(crate) struct Logger {
    log: Option<Arc<LogFn>>,
    event: Option<Arc<EventFn>>,
}

impl Logger {
    pub(crate) fn set_log(&mut self, log: impl Fn(LogLevel, &str) + Send + Sync + 'static) {
        self.log = Some(Arc::new(log));
    }

    pub(crate) fn set_event(&mut self, event: impl Fn(Event<'_>) + Send + Sync + 'static) {
        self.event = Some(Arc::new(event));
    }

    pub(crate) fn warn(&self, message: fmt::Arguments<'_>) {
        self.write(LogLevel::Warn, message);
    }

    pub(crate) fn info(&self, message: fmt::Arguments<'_>) {
        self.write(LogLevel::Info, message);
    }

    pub(crate) fn debug(&self, message: fmt::Arguments<'_>) {
        self.write(LogLevel::Debug, message);
    }

    /// Tells of an event. No lock of the library is held meanwhile.
    pub(crate) fn event(&self, event: Event<'_>) {
        if let Some(tell) = &self.event {
            tell(event);
        }
    }

    fn write(&self, level: LogLevel, message: fmt::Arguments<'_>) {
        match &self.log {
            Some(log) => log(level, &message.to_string()),
            None => log::log!(target: "quorate", level.into(), "{message}"),
        }
    }
}
