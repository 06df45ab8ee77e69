//! The distribution keys of statements, as the sessions of a pool learn them.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lru::LruCache;

use crate::lock::Mutex;
use crate::params::ParamsRef;
use crate::picodata::sharding::{Hashing, StatementKey};
use crate::picodata::statements::in_order;
use crate::sql::ParameterList;

/// How many statements are remembered; the least recently used goes first.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
/// The longest text that is remembered, in bytes.
const LONGEST: usize = 16 * 1024;

/// The distribution keys of the statements that a pool runs, by the text that the caller wrote.
///
/// Sessions put them in, from any thread; the choice of an instance looks them up.
pub(crate) struct StatementKeys {
    keys: Mutex<LruCache<Box<str>, Arc<Described>>>,
    /// Spares the lock where no server tells keys.
    count: AtomicUsize,
    /// A server has found a statement to be older than the schema.
    is_outdated: AtomicBool,
}

/// What is known of one text.
struct Described {
    key: StatementKey,
    /// The names of its parameters, where the text has them.
    names: Option<ParameterList>,
}

impl Default for StatementKeys {
    fn default() -> Self {
        StatementKeys {
            keys: Mutex::new(LruCache::new(REMEMBERED)),
            count: AtomicUsize::new(0),
            is_outdated: AtomicBool::new(false),
        }
    }
}

impl StatementKeys {
    /// Takes in what the server has said while a text was prepared, in which it was sent as `sent`.
    ///
    /// A statement of which it has named no key is forgotten.
    pub(crate) fn learn(
        &self,
        text: &str,
        sent: &str,
        names: Option<&ParameterList>,
        told: &mut Vec<StatementKey>,
    ) {
        let Some(found) = told.iter().position(|key| key.query == sent) else {
            return;
        };
        let key = told.swap_remove(found);
        let mut keys = self.keys.lock();
        if key.is_usable() && key.tier.is_some() && text.len() <= LONGEST {
            let described = Described {
                key,
                names: names.cloned(),
            };
            keys.put(text.into(), Arc::new(described));
        } else {
            keys.pop(text);
        }
        self.count.store(keys.len(), Ordering::Relaxed);
    }

    /// Forgets a statement that the server has found to be out of date; its table's key may be another one.
    pub(crate) fn forget(&self, text: &str) {
        let mut keys = self.keys.lock();
        keys.pop(text);
        self.count.store(keys.len(), Ordering::Relaxed);
        self.is_outdated.store(true, Ordering::Release);
    }

    /// Whether a statement was forgotten since this was last asked.
    pub(super) fn take_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::Relaxed) && self.is_outdated.swap(false, Ordering::AcqRel)
    }

    /// The bucket of a statement with these parameters: it is found by `bucket_count`, which knows the number
    /// of buckets of the tier. `None` where the statement or its bucket is not known.
    pub(super) fn bucket(
        &self,
        text: &str,
        params: ParamsRef<'_>,
        hashing: Hashing,
        bucket_count: impl FnOnce(&str) -> Option<u64>,
    ) -> Option<(Arc<str>, u64)> {
        if self.count.load(Ordering::Relaxed) == 0 || params.is_empty() {
            return None;
        }
        let described = Arc::clone(self.keys.lock().get(text)?);
        let tier = described.key.tier.as_ref()?;
        let count = bucket_count(tier)?;
        let values = in_order(params, described.names.as_ref()).ok()?;
        let bucket = described.key.bucket_id(&values, count, hashing)?;
        Some((Arc::clone(tier), bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::ValueRef;

    fn told(query: &str, dk_meta: &str) -> Vec<StatementKey> {
        let notice = format!(r#"{{"query": "{query}", "tier": "default", "dk_meta": {dk_meta}}}"#);
        vec![StatementKey::from_notice(&notice).unwrap()]
    }

    fn bucket(keys: &StatementKeys, text: &str, params: ParamsRef<'_>) -> Option<u64> {
        let bucket = keys.bucket(text, params, Hashing::default(), |_| Some(3000));
        bucket.map(|(tier, bucket)| {
            assert_eq!(&*tier, "default");
            bucket
        })
    }

    #[test]
    fn what_is_learned_is_found_under_the_callers_text() {
        let keys = StatementKeys::default();
        let one = [ValueRef::Text("hello")];
        let one = ParamsRef::Positional(&one);
        assert_eq!(bucket(&keys, "q", one), None);
        keys.learn("q", "q", None, &mut told("q", "[[1, 25]]"));
        assert_eq!(bucket(&keys, "q", one), Some(1481));
        assert_eq!(bucket(&keys, "q", ParamsRef::Positional(&[])), None);
        assert_eq!(bucket(&keys, "other", one), None);
        // Nothing was said of the text.
        keys.learn("q", "q", None, &mut told("else", "[[1, 25]]"));
        assert_eq!(bucket(&keys, "q", one), Some(1481));
        // It was said to have no key.
        keys.learn("q", "q", None, &mut told("q", "[]"));
        assert_eq!(bucket(&keys, "q", one), None);
    }

    #[test]
    fn names_are_brought_into_the_order_that_the_server_knows() {
        let keys = StatementKeys::default();
        let names = crate::sql::rewrite(
            ":a, :b",
            crate::sql::Placeholders::Named,
            crate::sql::Dialect::Postgres,
        );
        let names = names.unwrap().parameters;
        keys.learn(
            ":a, :b",
            "$1, $2",
            Some(&names),
            &mut told("$1, $2", "[[2, 25]]"),
        );
        let named = [("b", ValueRef::Text("hello")), ("a", ValueRef::Int(7))];
        assert_eq!(
            bucket(&keys, ":a, :b", ParamsRef::Named(&named)),
            Some(1481)
        );
        assert_eq!(bucket(&keys, ":a, :b", ParamsRef::Named(&named[..1])), None);
    }

    #[test]
    fn the_least_recently_used_goes_and_so_does_what_is_out_of_date() {
        let keys = StatementKeys::default();
        let one = [ValueRef::Text("hello")];
        let one = ParamsRef::Positional(&one);
        for number in 0..=REMEMBERED.get() {
            keys.learn(&number.to_string(), "q", None, &mut told("q", "[[1, 25]]"));
        }
        assert_eq!(bucket(&keys, "0", one), None);
        assert_eq!(bucket(&keys, "1", one), Some(1481));
        assert!(!keys.take_outdated());
        keys.forget("1");
        assert_eq!(bucket(&keys, "1", one), None);
        assert!(keys.take_outdated() && !keys.take_outdated());
        let long = "x".repeat(LONGEST + 1);
        keys.learn(&long, "q", None, &mut told("q", "[[1, 25]]"));
        assert_eq!(bucket(&keys, &long, one), None);
    }
}
