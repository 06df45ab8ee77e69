//! Which instances a call may go to.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::topology::{Instance, Snapshot};

/// The part in its replicaset that an instance must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RoleFilter {
    #[default]
    Any,
    Master,
    Replica,
}

/// What the configuration asks of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Filter {
    /// Asked strictly: with no replica there is no instance to go to.
    pub(crate) role: RoleFilter,
    /// Asked strictly; empty admits every tier.
    pub(crate) tiers: Vec<String>,
    /// Preferred, not asked: names and values, in any case of letters.
    pub(crate) failure_domain: BTreeMap<String, String>,
}

impl Filter {
    /// Whether an instance is online and has the role and the tier that are asked for.
    pub(crate) fn admits(&self, instance: &Instance) -> bool {
        let role = match self.role {
            RoleFilter::Any => true,
            RoleFilter::Master => instance.is_master,
            RoleFilter::Replica => !instance.is_master,
        };
        role && instance.is_online()
            && (self.tiers.is_empty() || self.tiers.iter().any(|tier| **tier == *instance.tier))
    }

    /// The instances that a call goes to now: those that are admitted and usable, and of these the ones that
    /// share the most of the failure domain. Where none is usable, all that are admitted, since one of them may
    /// have recovered and there is nothing better to try.
    ///
    /// `usable` says whether an instance can be expected to answer: its breaker is closed, its pool is not full.
    pub(crate) fn select<'s>(
        &self,
        snapshot: &'s Snapshot,
        usable: impl Fn(&Instance) -> bool,
    ) -> Vec<&'s Arc<Instance>> {
        let admitted = |instance: &&Arc<Instance>| self.admits(instance);
        let all = || snapshot.instances().iter().filter(admitted);
        let mut chosen: Vec<_> = all().filter(|instance| usable(instance)).collect();
        if chosen.is_empty() {
            chosen = all().collect();
        }
        if !self.failure_domain.is_empty() {
            let most = chosen
                .iter()
                .map(|instance| self.nearness(instance))
                .max()
                .unwrap_or(0);
            chosen.retain(|instance| self.nearness(instance) == most);
        }
        chosen
    }

    /// How many parts of the preferred failure domain an instance shares.
    fn nearness(&self, instance: &Instance) -> usize {
        let shares = |(name, value): (&String, &String)| {
            instance
                .failure_domain
                .iter()
                .any(|(n, v)| n.eq_ignore_ascii_case(name) && v.eq_ignore_ascii_case(value))
        };
        self.failure_domain
            .iter()
            .filter(|part| shares(*part))
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::InstanceState;
    use crate::topology::testing::instance;

    /// 1 and 2 are masters, 3 is a replica, 4 is offline; 2 is in the tier `hot`; 1 and 3 are in data centre 1.
    fn snapshot() -> Snapshot {
        let mut all: Vec<_> = (1..=4).map(instance).collect();
        all[0].is_master = true;
        all[1].is_master = true;
        all[1].tier = "hot".into();
        all[3].state = InstanceState::Offline;
        for (index, dc, host) in [(0, "1", "A"), (1, "2", "B"), (2, "1", "C"), (3, "1", "D")] {
            let domain = &mut all[index].failure_domain;
            domain.insert("DC".into(), dc.into());
            domain.insert("HOST".into(), host.into());
        }
        Snapshot::new(all)
    }

    fn selected(filter: &Filter, usable: &[u64]) -> Vec<u64> {
        filter
            .select(&snapshot(), |instance| usable.contains(&instance.raft_id))
            .iter()
            .map(|instance| instance.raft_id)
            .collect()
    }

    fn domain(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(n, v)| ((*n).into(), (*v).into()))
            .collect()
    }

    #[test]
    fn role_and_tier_are_asked_strictly() {
        let table: [(RoleFilter, &[&str], &[u64]); 7] = [
            (RoleFilter::Any, &[], &[1, 2, 3]),
            (RoleFilter::Master, &[], &[1, 2]),
            (RoleFilter::Replica, &[], &[3]),
            (RoleFilter::Any, &["hot"], &[2]),
            (RoleFilter::Any, &["hot", "default"], &[1, 2, 3]),
            (RoleFilter::Replica, &["hot"], &[]),
            (RoleFilter::Any, &["cold"], &[]),
        ];
        for (role, tiers, expected) in table {
            let filter = Filter {
                role,
                tiers: tiers.iter().map(|tier| (*tier).into()).collect(),
                ..Filter::default()
            };
            assert_eq!(selected(&filter, &[1, 2, 3, 4]), expected, "{filter:?}");
        }
    }

    #[test]
    fn the_failure_domain_is_preferred() {
        type Parts = &'static [(&'static str, &'static str)];
        let table: [(Parts, &[u64], &[u64]); 6] = [
            (&[("dc", "1")], &[1, 2, 3], &[1, 3]),
            (&[("dc", "1"), ("host", "c")], &[1, 2, 3], &[3]),
            // The nearest is not usable: the next nearest, then any.
            (&[("dc", "1"), ("host", "c")], &[1, 2], &[1]),
            (&[("dc", "1")], &[2], &[2]),
            (&[("dc", "9")], &[1, 2, 3], &[1, 2, 3]),
            (&[("rack", "1")], &[1, 2, 3], &[1, 2, 3]),
        ];
        for (parts, usable, expected) in table {
            let filter = Filter {
                failure_domain: domain(parts),
                ..Filter::default()
            };
            assert_eq!(selected(&filter, usable), expected, "{parts:?} {usable:?}");
        }
    }

    #[test]
    fn where_none_is_usable_all_that_are_admitted_are_tried() {
        assert_eq!(selected(&Filter::default(), &[]), [1, 2, 3]);
        let masters = Filter {
            role: RoleFilter::Master,
            ..Filter::default()
        };
        assert_eq!(selected(&masters, &[3]), [1, 2]);
    }
}
