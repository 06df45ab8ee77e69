//! The prepared statements of a session, by their text; the same for both databases.

use std::num::NonZeroUsize;

use lru::LruCache;

/// A session's handle of a statement.
pub(crate) trait Cached {
    /// Whether it is likely to be run again.
    fn is_preparable(&self) -> bool;
}

/// Keeps what a server holds prepared for one session, the least recently used being dropped when there are
/// too many.
pub(crate) struct StatementCache<S> {
    entries: Option<LruCache<Box<str>, S>>,
    /// Statements that the server still holds and nobody wants.
    dropped: Vec<S>,
}

impl<S: Cached> StatementCache<S> {
    /// A cache of `size` statements; 0 keeps none.
    pub(crate) fn new(size: usize) -> Self {
        StatementCache {
            entries: NonZeroUsize::new(size).map(LruCache::new),
            dropped: Vec::new(),
        }
    }

    /// How many statements fit.
    pub(crate) fn size(&self) -> usize {
        self.entries
            .as_ref()
            .map_or(0, |entries| entries.cap().get())
    }

    pub(crate) fn get(&mut self, text: &str) -> Option<&S> {
        self.entries.as_mut()?.get(text)
    }

    /// Keeps a statement, or marks it to be dropped if the cache keeps none or not this one.
    pub(crate) fn put(&mut self, text: &str, statement: S) {
        let Some(entries) = self.entries.as_mut().filter(|_| statement.is_preparable()) else {
            self.dropped.push(statement);
            return;
        };
        if let Some((_, old)) = entries.push(text.into(), statement) {
            self.dropped.push(old);
        }
    }

    /// Marks the least recently used statements to be dropped until `count` more fit.
    pub(crate) fn make_room(&mut self, count: usize) {
        if let Some(entries) = &mut self.entries {
            let most = entries.cap().get().saturating_sub(count);
            while entries.len() > most
                && let Some((_, old)) = entries.pop_lru()
            {
                self.dropped.push(old);
            }
        }
    }

    /// Drops the statement of a text.
    pub(crate) fn remove(&mut self, text: &str) {
        let removed = self.entries.as_mut().and_then(|entries| entries.pop(text));
        self.dropped.extend(removed);
    }

    /// Drops the first statement that fits.
    pub(crate) fn remove_where(&mut self, mut fits: impl FnMut(&S) -> bool) {
        let text = self.entries.as_ref().and_then(|entries| {
            let mut all = entries.iter();
            all.find(|(_, statement)| fits(statement))
                .map(|(text, _)| text.clone())
        });
        if let Some(text) = text {
            self.remove(&text);
        }
    }

    /// Marks statements again that could not be dropped.
    pub(crate) fn drop_again(&mut self, statements: Vec<S>) {
        self.dropped.extend(statements);
    }

    /// The statements to be dropped on the server, which are then no longer known here; one that `is_used`
    /// waits for its run.
    pub(crate) fn take_dropped(&mut self, is_used: impl Fn(&S) -> bool) -> Vec<S> {
        self.dropped
            .extract_if(.., |statement| !is_used(statement))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those from 100 on are not likely to be run again.
    impl Cached for u32 {
        fn is_preparable(&self) -> bool {
            *self < 100
        }
    }

    fn none(_: &u32) -> bool {
        false
    }

    #[test]
    fn the_least_recently_used_statement_is_dropped() {
        let mut cache = StatementCache::new(2);
        cache.put("a", 1);
        cache.put("b", 2);
        assert!(cache.get("a").is_some());
        cache.put("c", 3);
        assert!(cache.get("b").is_none());
        assert_eq!(cache.take_dropped(none), [2]);
        assert!(cache.take_dropped(none).is_empty());
        cache.remove_where(|statement| *statement == 1);
        cache.remove("c");
        cache.remove("gone");
        assert_eq!(cache.take_dropped(none), [1, 3]);
    }

    #[test]
    fn a_statement_that_is_prepared_again_replaces_the_old_one() {
        let mut cache = StatementCache::new(2);
        cache.put("a", 1);
        cache.put("a", 2);
        assert_eq!(cache.get("a"), Some(&2));
        assert_eq!(cache.take_dropped(none), [1]);
    }

    #[test]
    fn room_is_made_before_it_is_needed() {
        let mut cache = StatementCache::new(3);
        for (text, statement) in [("a", 1), ("b", 2), ("c", 3)] {
            cache.put(text, statement);
        }
        cache.make_room(2);
        assert_eq!(cache.take_dropped(none), [1, 2]);
        cache.make_room(2);
        cache.put("d", 4);
        cache.put("e", 5);
        assert!(cache.take_dropped(none).is_empty());
        cache.make_room(9);
        assert_eq!(cache.take_dropped(none), [3, 4, 5]);
    }

    #[test]
    fn a_cache_of_none_drops_what_it_is_given() {
        let mut cache = StatementCache::new(0);
        cache.put("a", 7);
        assert!(cache.get("a").is_none());
        assert!(
            cache.take_dropped(|used| *used == 7).is_empty(),
            "it is about to run"
        );
        assert_eq!(cache.take_dropped(none), [7]);
    }

    #[test]
    fn what_is_not_run_again_is_not_kept() {
        let mut cache = StatementCache::new(2);
        cache.put("a", 100);
        assert!(cache.get("a").is_none());
        assert_eq!(cache.take_dropped(none), [100]);
    }
}
