//! Which replicaset has a bucket.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::error::Result;
use crate::picodata::json::{parse, unexpected};
use crate::topology::{Instance, Snapshot};

/// The buckets of one tier: ranges of numbers, each with the replicaset that has them.
///
/// It never changes; a new reading makes a new one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BucketMap {
    /// Sorted, without overlap.
    ranges: Vec<Range>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    first: u64,
    last: u64,
    replicaset: Arc<str>,
}

impl BucketMap {
    /// Reads what `_pico_bucket(tier)` answers (25.5.1 and later): a JSON array of ranges.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol): it is not what is known of it, or two ranges
    /// overlap.
    pub(crate) fn parse(buckets: &str) -> Result<Self> {
        const WHAT: &str = "map of buckets";
        let buckets = parse(buckets, WHAT)?;
        let range = |range: &Json| {
            let range = Range {
                first: range.get("bucket_id_start")?.as_u64()?,
                last: range.get("bucket_id_end")?.as_u64()?,
                replicaset: range.get("current_replicaset_uuid")?.as_str()?.into(),
            };
            (range.first >= 1 && range.first <= range.last).then_some(range)
        };
        let mut ranges: Vec<Range> = buckets
            .as_array()
            .and_then(|ranges| ranges.iter().map(range).collect())
            .ok_or_else(|| unexpected(WHAT, "that is not understood"))?;
        ranges.sort_unstable_by_key(|range| range.first);
        if !ranges.is_sorted_by(|a, b| a.last < b.first) {
            return Err(unexpected(WHAT, "with ranges that overlap"));
        }
        Ok(BucketMap { ranges })
    }

    /// How many buckets the tier has, as far as the map shows it: `None` unless its ranges follow each other
    /// from 1 without a gap. `_pico_tier` knows it better, but an ordinary user may not read that.
    ///
    /// That the last range is missing cannot be seen. Picodata goes through all buckets that the tier is configured to
    /// have, and answers an error where it does not know where one lies (its `_pico_bucket`, read at 25.5).
    pub(crate) fn bucket_count(&self) -> Option<u64> {
        let mut next = 1;
        for range in &self.ranges {
            if range.first != next {
                return None;
            }
            next = range.last.checked_add(1)?;
        }
        (next > 1).then_some(next - 1)
    }

    /// The uuid of the replicaset that has the bucket.
    pub(crate) fn replicaset(&self, bucket_id: u64) -> Option<&Arc<str>> {
        let after = self
            .ranges
            .partition_point(|range| range.first <= bucket_id);
        let range = self.ranges.get(after.checked_sub(1)?)?;
        (bucket_id <= range.last).then_some(&range.replicaset)
    }

    /// The instance to send a statement for the bucket to: the master of its replicaset, if it is online.
    pub(crate) fn master<'s>(
        &self,
        bucket_id: u64,
        snapshot: &'s Snapshot,
    ) -> Option<&'s Arc<Instance>> {
        snapshot
            .master(self.replicaset(bucket_id)?)
            .filter(|master| master.is_online())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::topology::InstanceState;
    use crate::topology::testing::instance;

    fn range(first: u64, last: u64, replicaset: &str) -> String {
        format!(
            r#"{{"bucket_id_start": {first}, "bucket_id_end": {last}, "tier_name": "default",
                "state": "active", "current_replicaset_uuid": "{replicaset}",
                "target_replicaset_uuid": "other"}}"#
        )
    }

    fn map(ranges: &[(u64, u64, &str)]) -> Result<BucketMap> {
        let ranges: Vec<_> = ranges.iter().map(|(a, b, r)| range(*a, *b, r)).collect();
        BucketMap::parse(&format!("[{}]", ranges.join(",")))
    }

    #[test]
    fn a_bucket_is_found_in_its_range() {
        let map = map(&[(1501, 3000, "b"), (1, 1000, "a"), (1001, 1500, "c")]).unwrap();
        for (bucket, replicaset) in [
            (0, None),
            (1, Some("a")),
            (1000, Some("a")),
            (1001, Some("c")),
            (1500, Some("c")),
            (1501, Some("b")),
            (3000, Some("b")),
            (3001, None),
            (u64::MAX, None),
        ] {
            assert_eq!(map.replicaset(bucket).map(|r| &**r), replicaset, "{bucket}");
        }
        assert_eq!(map.bucket_count(), Some(3000));
    }

    #[test]
    fn a_gap_has_no_replicaset_and_the_count_is_not_known() {
        let gap = map(&[(1, 10, "a"), (12, 20, "b")]).unwrap();
        assert_eq!(gap.replicaset(11), None);
        assert_eq!(gap.bucket_count(), None);
        assert_eq!(map(&[(2, 10, "a")]).unwrap().bucket_count(), None);
        assert_eq!(map(&[]).unwrap().bucket_count(), None);
        assert_eq!(map(&[]).unwrap().replicaset(1), None);
        assert_eq!(map(&[(1, u64::MAX, "a")]).unwrap().bucket_count(), None);
    }

    #[test]
    fn a_bucket_leads_to_the_master_that_is_online() {
        let mut master = instance(1);
        master.is_master = true;
        let mut replica = instance(2);
        replica.replicaset = Arc::clone(&master.replicaset);
        let mut fallen = instance(3);
        fallen.is_master = true;
        fallen.state = InstanceState::Offline;
        let (here, there) = (master.replicaset.to_string(), fallen.replicaset.to_string());
        let snapshot = Snapshot::new(vec![master.clone(), replica, fallen]);
        let map = map(&[(1, 10, &here), (11, 20, &there), (21, 30, "unknown")]).unwrap();
        assert_eq!(**map.master(5, &snapshot).unwrap(), master);
        assert!(map.master(15, &snapshot).is_none());
        assert!(map.master(25, &snapshot).is_none());
        assert!(map.master(31, &snapshot).is_none());
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let one = range(1, 10, "a");
        for text in [
            "",
            "null",
            "{}",
            "[1]",
            "[{}]",
            r#"[{"bucket_id_start": -1, "bucket_id_end": 3, "current_replicaset_uuid": "a"}]"#,
            r#"[{"bucket_id_start": 1, "bucket_id_end": 3, "current_replicaset_uuid": null}]"#,
            &format!("[{one}, {}]", range(10, 20, "b")),
            &format!("[{one}, {one}]"),
            &format!("[{}]", range(5, 4, "a")),
            &format!("[{}]", range(0, 4, "a")),
        ] {
            let error = BucketMap::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{text}");
        }
    }
}
