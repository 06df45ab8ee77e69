//! The instances of a Picodata cluster, as the pool tells of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use quorate::{Config, Event, Instance};

/// The instances by uuid, and the address of the raft leader.
#[derive(Debug, Clone, Default)]
pub(crate) struct Instances {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    instances: BTreeMap<Arc<str>, Instance>,
    leader: Option<String>,
}

impl Instances {
    /// Has a pool that is opened with `config` tell of its instances.
    pub(crate) fn follow(&self, config: &mut Config) {
        let known = Arc::clone(&self.known);
        config.set_event(move |event| known.lock().note(event));
    }

    /// All instances, by name.
    pub(crate) fn all(&self) -> Vec<Instance> {
        let mut all: Vec<_> = self.known.lock().instances.values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The address of the raft leader.
    pub(crate) fn leader(&self) -> Option<String> {
        let known = self.known.lock();
        let first = || known.instances.values().find(|one| one.is_leader);
        let leader = known.leader.clone();
        leader.or_else(|| first().map(|one| one.address.to_string()))
    }
}

impl Known {
    fn note(&mut self, event: Event<'_>) {
        match event {
            Event::Leader(address) => self.leader = Some(address.to_owned()),
            Event::InstanceWent(instance) => {
                self.instances.remove(&instance.uuid);
            }
            Event::InstanceCame(instance)
            | Event::InstanceMoved { instance, .. }
            | Event::InstanceState { instance, .. }
            | Event::InstanceRole(instance) => {
                let uuid = Arc::clone(&instance.uuid);
                self.instances.insert(uuid, instance.clone());
            }
            _ => {}
        }
    }
}
