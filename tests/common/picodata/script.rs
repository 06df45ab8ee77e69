//! What a test does to the cluster.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::super::loopback;
use super::PicodataCluster;
use super::catalog::{Instance, State};
use super::server::listen;
use super::world::{Fault, Node, World};

/// Where virtual instances say they can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// At addresses of their own, where nobody listens.
    Refusing,
    /// At addresses of their own, where the stand-in answers as the instance that was called.
    Answering,
}

impl PicodataCluster {
    /// A new instance, Online, with a listener. Answers its index.
    pub fn join(&self) -> usize {
        self.join_tier("default")
    }

    /// The same, in another tier, which the cluster was built with.
    pub fn join_tier(&self, tier: &str) -> usize {
        let tier = tier.to_owned();
        self.server.call(move |world| join(world, &tier))
    }

    /// An instance's state becomes Offline. Its process is not touched.
    pub fn offline(&self, index: usize) {
        self.set_state(index, State::Offline);
    }

    /// An instance's state becomes Online, with the next incarnation.
    pub fn online(&self, index: usize) {
        self.set_state(index, State::Online);
    }

    /// An instance's state becomes Expelled. Its process is not touched; its address rows stay.
    pub fn expel(&self, index: usize) {
        self.set_state(index, State::Expelled);
    }

    pub fn set_state(&self, index: usize, state: State) {
        self.change(index, move |instance| {
            if state == State::Online && instance.state != State::Online {
                instance.incarnation += 1;
            }
            instance.state = state;
        });
    }

    /// Changes the row of an instance in any other way.
    pub fn change(&self, index: usize, edit: impl FnOnce(&mut Instance) + Send + 'static) {
        self.server.call(move |world| {
            edit(&mut world.catalog.instances[index]);
            world.catalog.publish(&world.engine, index);
        });
    }

    /// An expelled instance joins again under its name and address: it has a new index, uuid and raft id. Its
    /// old row of `_pico_instance` gives way, the old address rows stay, so that its address is there twice.
    pub fn rejoin(&self, index: usize) -> usize {
        self.server.call(move |world| {
            let old = &mut world.catalog.instances[index];
            old.forgotten = true;
            let name = old.name.clone();
            rejoin(world, index, name)
        })
    }

    /// The same under a new name: the expelled row stays beside the new one, with the same address.
    pub fn rejoin_renamed(&self, index: usize) -> usize {
        self.server.call(move |world| {
            let place = world.catalog.instances.len() + 1;
            let name = format!("{}_{place}", world.catalog.instances[index].name);
            rejoin(world, index, name)
        })
    }

    /// Makes an instance the master of a replicaset.
    pub fn change_master(&self, replicaset: usize, index: usize) {
        self.server.call(move |world| {
            let set = world.catalog.instances[index].replicaset;
            assert_eq!(set, replicaset, "instance {index} is of replicaset {set}");
            world.catalog.replicasets[replicaset].master = index;
            world.catalog.publish_sets(&world.engine);
        });
    }

    /// Moves the buckets of a tier: ranges of them, each with the index of the replicaset that has it now.
    pub fn move_buckets(&self, tier: &str, ranges: &[(u64, u64, usize)]) {
        let (tier, ranges) = (tier.to_owned(), ranges.to_vec());
        self.server.call(move |world| {
            world.catalog.ranges.insert(tier, ranges);
            world.catalog.publish_sets(&world.engine);
        });
    }

    /// The index of the master of a bucket.
    pub fn master_of(&self, tier: &str, bucket: u64) -> usize {
        let tier = tier.to_owned();
        self.server.call(move |world| {
            let catalog = &world.catalog;
            let tier = catalog.tiers.iter().find(|one| one.name == tier).unwrap();
            let ranges = catalog.ranges(tier);
            let (.., set) = ranges
                .iter()
                .find(|(first, last, _)| (*first..=*last).contains(&bucket))
                .expect("the bucket is somewhere");
            catalog.replicasets[*set].master
        })
    }

    /// Makes an instance the raft leader.
    pub fn change_leader(&self, index: usize) {
        self.server
            .call(move |world| world.catalog.leader = Some(index));
    }

    /// SIGKILL: the listener and the connections are gone. What the others say of it does not change. A virtual
    /// instance does not refuse connections then, but closes them at once.
    pub fn kill(&self, index: usize) {
        self.server.call(move |world| {
            let node = &mut world.nodes[index];
            node.listener = None;
            node.generation += 1;
            node.hung = false;
            world.virtuals.retain(|_, virtually| *virtually != index);
        });
    }

    /// SIGTERM: the same, and the others know it at once: it is Offline, and another one is the leader and the
    /// master of its replicaset.
    pub fn terminate(&self, index: usize) {
        self.kill(index);
        self.offline(index);
        self.server.call(move |world| {
            let catalog = &mut world.catalog;
            let online = (0..catalog.instances.len()).filter(|other| catalog.is_running(*other));
            let online: Vec<_> = online.collect();
            if catalog.leader == Some(index) {
                catalog.leader = online.first().copied();
            }
            let set = catalog.instances[index].replicaset;
            let heir = online
                .iter()
                .find(|other| catalog.instances[**other].replicaset == set);
            if let Some(heir) = heir.filter(|_| catalog.replicasets[set].master == index) {
                catalog.replicasets[set].master = *heir;
                world.catalog.publish_sets(&world.engine);
            }
        });
    }

    /// Listens again where it did, after [`kill`](PicodataCluster::kill). Its state does not change.
    pub fn restart(&self, index: usize) {
        self.server.call(move |world| {
            let address: SocketAddr = world.catalog.instances[index].address.parse().unwrap();
            let wildcard = world
                .wildcard
                .as_ref()
                .map(|one| one.local_addr().unwrap().port());
            if wildcard == Some(address.port()) {
                world.virtuals.insert(host(address), index);
            } else {
                world.nodes[index].listener = Some(listen(address).unwrap());
            }
        });
    }

    /// SIGSTOP: the kernel still takes connections for it, and nothing is answered.
    pub fn hang(&self, index: usize) {
        self.server
            .call(move |world| world.nodes[index].hung = true);
    }

    /// SIGCONT: what has been sent meanwhile is answered.
    pub fn resume(&self, index: usize) {
        self.server
            .call(move |world| world.nodes[index].hung = false);
    }

    /// Every answer of every instance takes this much longer.
    pub fn delay(&self, delay: Duration) {
        self.server.call(move |world| {
            for node in &mut world.nodes {
                node.delay = delay;
            }
        });
    }

    /// Every answer of one instance takes this much longer.
    pub fn delay_one(&self, index: usize, delay: Duration) {
        self.server
            .call(move |world| world.nodes[index].delay = delay);
    }

    /// Orders what becomes of the next `times` statements of an instance that contain a text.
    pub fn inject(&self, index: usize, text: &str, fault: Fault, times: usize) {
        let text = text.to_owned();
        self.server
            .call(move |world| world.nodes[index].faults.push((text, fault, times)));
    }

    /// Takes all such orders back. What has stalled stays so.
    pub fn clear_faults(&self, index: usize) {
        self.server
            .call(move |world| world.nodes[index].faults.clear());
    }

    /// Closes all connections of an instance; it takes new ones.
    pub fn disconnect(&self, index: usize) {
        self.server
            .call(move |world| world.nodes[index].generation += 1);
    }

    /// The majority is gone. From now on nothing is written to the catalog, and DDL times out; after `notice`
    /// (10 to 14 s in a real cluster) the leader's id is 0 and its uuid an error.
    pub fn lose_quorum(&self, notice: Duration) {
        self.server.call(move |world| {
            world.catalog.frozen = true;
            world.quorum_lost_at = Some(Instant::now() + notice);
        });
    }

    /// The majority is back, and the catalog says what has happened meanwhile.
    pub fn regain_quorum(&self) {
        self.server.call(|world| {
            world.catalog.frozen = false;
            world.quorum_lost_at = None;
            world.catalog.publish_all(&world.engine);
        });
    }

    /// Adds rows for `count` instances, Online, that are no processes. Answers their indexes.
    pub fn add_virtual(&self, count: usize, addresses: Addresses) -> std::ops::Range<usize> {
        self.server.call(move |world| {
            let port = match addresses {
                Addresses::Refusing => 1,
                Addresses::Answering => wildcard(world),
            };
            let start = world.catalog.instances.len();
            for index in start..start + count {
                // 127.251.0.0/16 and on: `loopback` stops at 127.250.
                let [_, high, middle, low] = (index as u32).to_be_bytes();
                let host = Ipv4Addr::new(127, 251 + high, middle, low);
                world.catalog.join(&format!("{host}:{port}"), "default");
                world.nodes.push(Node::default());
                if addresses == Addresses::Answering {
                    world.virtuals.insert(host, index);
                }
                world.catalog.publish(&world.engine, index);
            }
            world.catalog.publish_sets(&world.engine);
            start..start + count
        })
    }

    /// A virtual instance leaves without a trace.
    pub fn remove(&self, index: usize) {
        self.server.call(move |world| {
            let one = &mut world.catalog.instances[index];
            one.state = State::Expelled;
            one.forgotten = true;
            if !world.catalog.frozen {
                world.engine.write(
                    "DELETE FROM _pico_instance WHERE raft_id = ?1",
                    &[&one.raft_id],
                );
                world.engine.write(
                    "DELETE FROM _pico_peer_address WHERE raft_id = ?1",
                    &[&one.raft_id],
                );
            }
        });
    }
}

/// Adds an instance with a listener at an address of its own.
pub fn join(world: &mut World, tier: &str) -> usize {
    // Another process may hold an address by chance.
    let (listener, address) = (0..100)
        .find_map(|_| {
            let address: SocketAddr = format!("{}:4327", loopback()).parse().unwrap();
            listen(address).ok().map(|listener| (listener, address))
        })
        .expect("a loopback address is free");
    let index = world.catalog.join(&address.to_string(), tier);
    world.nodes.push(Node {
        listener: Some(listener),
        ..Node::default()
    });
    world.catalog.leader.get_or_insert(index);
    world.catalog.publish(&world.engine, index);
    world.catalog.publish_sets(&world.engine);
    index
}

fn rejoin(world: &mut World, index: usize, name: String) -> usize {
    let old = &world.catalog.instances[index];
    assert_eq!(old.state, State::Expelled, "instance {index} is a member");
    let new = Instance {
        name,
        state: State::Online,
        incarnation: 1,
        forgotten: false,
        ..old.clone()
    };
    let address: SocketAddr = old.address.parse().unwrap();
    // The process is the same one, or a new one at the same address.
    let mut node = Node::default();
    world.nodes[index].generation += 1;
    node.listener = world.nodes[index].listener.take();
    if node.listener.is_none() && !world.virtuals.contains_key(&host(address)) {
        node.listener = listen(address).ok();
    }
    let renewed = world.catalog.push(new);
    world.nodes.push(node);
    if let Some(speaker) = world.virtuals.get_mut(&host(address)) {
        *speaker = renewed;
    }
    for set in &mut world.catalog.replicasets {
        if set.master == index {
            set.master = renewed;
        }
    }
    world.catalog.publish(&world.engine, renewed);
    world.catalog.publish_sets(&world.engine);
    renewed
}

fn host(address: SocketAddr) -> Ipv4Addr {
    match address {
        SocketAddr::V4(address) => *address.ip(),
        SocketAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

/// The port at which the stand-in answers on every loopback address. It listens on all interfaces, because
/// Linux has no way to listen on a net, and closes what is not for one of its virtual instances.
fn wildcard(world: &mut World) -> u16 {
    if world.wildcard.is_none() {
        world.wildcard = Some(listen(SocketAddr::from(([0, 0, 0, 0], 0))).unwrap());
    }
    world
        .wildcard
        .as_ref()
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
