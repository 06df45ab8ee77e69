//! What a pool has read of the sharding of its cluster, and the way from a call to the master of its bucket.
//!
//! Nothing here is waited for by a statement: what is not known yet is asked for, and the balancer decides
//! meanwhile.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::backend::{Session, ShardingSource, TableSharding};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::{Mutex, RwLock};
use crate::net::flight::Flight;
use crate::net::wait::Call;
use crate::params::ParamsRef;
use crate::picodata::discover::{optional, read};
use crate::picodata::discovery::{self, SCHEMA, TIERS, decode_schema, decode_tier, text};
use crate::picodata::sharding::{
    BucketMap, DecimalForm, Distribution, DoubleForm, Hashing, StatementKeys, TableKey, table,
};
use crate::topology::{Instance, Snapshot};

/// How many tables' keys are remembered; the least recently used goes first.
const TABLES: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// How old a map of buckets may be when the topology is read and has not changed.
const MAP_AGE: Duration = Duration::from_secs(2);

/// The maps of buckets of the tiers that calls have asked for, and the keys of tables and statements.
///
/// It is read by every call that has an aim, and written by the thread that reads the topology.
pub(crate) struct Sharding {
    /// Where statements go to their buckets by themselves.
    keys: Option<Arc<StatementKeys>>,
    tables: Mutex<Tables>,
    /// The tiers that were asked for; none for what was not read yet.
    tiers: RwLock<HashMap<Arc<str>, Option<Arc<Buckets>>>>,
    hashing: RwLock<Hashing>,
    reading: Flight,
}

struct Tables {
    keys: LruCache<Box<str>, Arc<TableKey>>,
    /// The state of the schema that they are of.
    schema: Option<(i64, i64)>,
}

/// What a reading has told of a tier.
struct Buckets {
    read: Instant,
    map: Option<BucketMap>,
    count: Option<u64>,
    /// Why one of them is missing.
    fault: Option<Error>,
}

impl Sharding {
    /// With `is_automatic`, statements whose key the server tells go to their bucket by themselves.
    pub(crate) fn new(is_automatic: bool) -> Self {
        Sharding {
            keys: is_automatic.then(Arc::default),
            tables: Mutex::new(Tables {
                keys: LruCache::new(TABLES),
                schema: None,
            }),
            tiers: RwLock::default(),
            hashing: RwLock::default(),
            reading: Flight::default(),
        }
    }

    /// Where sessions put what they learn of statements.
    pub(crate) fn statement_keys(&self) -> Option<&Arc<StatementKeys>> {
        self.keys.as_ref()
    }

    /// The master of the bucket that a statement with these parameters is for; `None` where that is not known.
    pub(crate) fn of_statement<'s>(
        &self,
        sql: &str,
        params: ParamsRef<'_>,
        snapshot: &'s Snapshot,
        refresh: &dyn Fn(),
    ) -> Option<&'s Arc<Instance>> {
        let mut buckets = None;
        let (_, bucket) =
            self.keys
                .as_ref()?
                .bucket(sql, params, *self.hashing.read(), |tier| {
                    buckets = self.buckets(tier, refresh);
                    buckets.as_ref()?.count
                })?;
        self.master(&*buckets?, bucket, snapshot, refresh)
    }

    /// The master of a bucket, if it is known and online.
    pub(crate) fn of_bucket<'s>(
        &self,
        tier: &str,
        bucket: u64,
        snapshot: &'s Snapshot,
        refresh: &dyn Fn(),
    ) -> Option<&'s Arc<Instance>> {
        self.master(&*self.buckets(tier, refresh)?, bucket, snapshot, refresh)
    }

    fn master<'s>(
        &self,
        buckets: &Buckets,
        bucket: u64,
        snapshot: &'s Snapshot,
        refresh: &dyn Fn(),
    ) -> Option<&'s Arc<Instance>> {
        let map = buckets.map.as_ref()?;
        if map.replicaset(bucket).is_none() && buckets.read.elapsed() >= MAP_AGE {
            // The map was made while the bucket was on its way.
            refresh();
        }
        map.master(bucket, snapshot)
    }

    /// What is known of the buckets of a tier. The first time it is asked for.
    fn buckets(&self, tier: &str, refresh: &dyn Fn()) -> Option<Arc<Buckets>> {
        if let Some(known) = self.tiers.read().get(tier) {
            return known.clone();
        }
        self.tiers.write().entry(tier.into()).or_default();
        refresh();
        None
    }

    /// Learns how the servers of a cluster hash. In a cluster of several versions the older ones count.
    pub(crate) fn set_servers(&self, snapshot: &Snapshot) {
        let mut forms = snapshot
            .instances()
            .iter()
            .filter(|instance| instance.is_online())
            .map(|instance| DoubleForm::of_version(&instance.version));
        let is_new = snapshot
            .instances()
            .iter()
            .any(|instance| instance.is_online())
            && forms.all(|form| form == DoubleForm::Bare);
        *self.hashing.write() = Hashing {
            doubles: if is_new {
                DoubleForm::Bare
            } else {
                DoubleForm::Marked
            },
            // As the sessions send them.
            decimals: DecimalForm::Plain,
        };
    }

    /// Reads again what is in use and may be out of date; with `has_changed` the topology is another one. Blocks
    /// until `call` ends.
    ///
    /// # Errors
    ///
    /// What broke the connection. What the server refuses is left as unknown.
    pub(crate) fn refresh(
        &self,
        session: &mut dyn Session,
        has_changed: bool,
        call: &Call<'_>,
    ) -> Result<()> {
        let is_due = |known: &Option<Arc<Buckets>>| {
            let age = known.as_ref().map(|buckets| buckets.read.elapsed());
            has_changed || age.is_none_or(|age| age >= MAP_AGE)
        };
        let due: Vec<Arc<str>> = {
            let tiers = self.tiers.read();
            let due = tiers.iter().filter(|(_, known)| is_due(known));
            due.map(|(name, _)| Arc::clone(name)).collect()
        };
        for tier in due {
            self.read_tier(&tier, session, call)?;
        }
        self.forget_outdated();
        if !self.tables.lock().keys.is_empty() {
            self.check_schema(session, call)?;
        }
        Ok(())
    }

    fn forget_outdated(&self) {
        if self.keys.as_ref().is_some_and(|keys| keys.take_outdated()) {
            self.tables.lock().keys.clear();
        }
    }

    /// Forgets the keys of tables if the schema has changed since they were read.
    fn check_schema(&self, session: &mut dyn Session, call: &Call<'_>) -> Result<()> {
        let mut schema = None;
        optional(read(session, SCHEMA, call, |row| {
            schema = decode_schema(row)
        }))?;
        let mut tables = self.tables.lock();
        // Where it is not told, nothing is known to be up to date.
        if schema.is_none() || schema != tables.schema {
            tables.keys.clear();
            tables.schema = schema;
        }
        Ok(())
    }

    fn read_tier(
        &self,
        tier: &Arc<str>,
        session: &mut dyn Session,
        call: &Call<'_>,
    ) -> Result<Arc<Buckets>> {
        let mut told = None;
        let mut fault = optional(read(session, &discovery::buckets(tier), call, |row| {
            told = row.first().and_then(text).map(|map| BucketMap::parse(&map));
        }))?;
        let map = match told.transpose() {
            Ok(map) => map,
            Err(error) => {
                fault = Some(error);
                None
            }
        };
        let before = self.tiers.read().get(tier).cloned().flatten();
        let known = before.as_ref().and_then(|before| before.count);
        let shown = map.as_ref().and_then(BucketMap::bucket_count);
        let is_settled = match (known, shown) {
            (Some(known), Some(shown)) => known == shown,
            // Nothing that is known of a tier's number changes because a map cannot be had.
            _ => known.or(shown).is_some(),
        };
        let mut told = None;
        if !is_settled {
            // An ordinary user may not read it.
            let refused = optional(read(session, TIERS, call, |row| {
                let tier_told = decode_tier(row).filter(|(name, _)| name == tier);
                told = told.or(tier_told.map(|(_, count)| count));
            }))?;
            fault = fault.or(refused);
        }
        // A map that shows fewer than another one has lacks its end.
        let count = told.or(known.max(shown));
        if known.is_some() && count != known {
            self.tables.lock().keys.clear();
        }
        // An old map costs a hop, where it is wrong at all.
        let map = map.or_else(|| before.and_then(|before| before.map.clone()));
        let buckets = Arc::new(Buckets {
            read: Instant::now(),
            map,
            count,
            fault,
        });
        let known = Some(Arc::clone(&buckets));
        self.tiers.write().insert(Arc::clone(tier), known);
        Ok(buckets)
    }
}

impl ShardingSource for Sharding {
    fn reading(&self) -> &Flight {
        &self.reading
    }

    fn known(&self, table: &str) -> Option<Arc<dyn TableSharding>> {
        self.forget_outdated();
        let key = self.tables.lock().keys.get(table).cloned();
        key.map(|key| key as Arc<dyn TableSharding>)
    }

    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`]: the table is not sharded, the server shards no tables, or it tells too little.
    /// [`ErrorKind::Database`]: there is no such table, or the server refuses to tell.
    fn read_table(
        &self,
        table: &str,
        session: &mut dyn Session,
        call: &Call<'_>,
    ) -> Result<Arc<dyn TableSharding>> {
        self.check_schema(session, call)?;
        let mut found = None;
        let refused = optional(read(session, &discovery::table(table), call, |row| {
            if let [distribution, format] = row {
                found = text(distribution)
                    .zip(text(format))
                    .map(|(distribution, format)| {
                        Distribution::parse(table, &distribution, &format)
                    });
            }
        }))?;
        if let Some(error) = refused {
            return Err(if error.sqlstate() == Some("42P01") {
                Error::new(
                    ErrorKind::Unsupported,
                    "the server is plain PostgreSQL, which has no sharding keys",
                )
                .with_source(error)
            } else {
                error.context(format_args!("reading how the table {table:?} is spread"))
            });
        }
        let distribution = found.ok_or_else(|| {
            Error::new(
                ErrorKind::Database,
                format!("there is no table {table:?}, or the user may not see it"),
            )
        })??;
        let tier = match &distribution {
            Distribution::Global => return Err(table::global(table)),
            Distribution::Sharded(key) => Arc::clone(key.tier()),
            Distribution::ByField { tier, .. } => Arc::clone(tier),
        };
        let known = self.tiers.read().get(&tier).cloned().flatten();
        let buckets = match known {
            Some(buckets) => buckets,
            None => self.read_tier(&tier, session, call)?,
        };
        let Some(count) = buckets.count else {
            let error = Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the number of buckets of the tier {tier:?} is not known: the server has no whole map of them \
                     (_pico_bucket, 25.5.1 and later), and the user may not read _pico_tier"
                ),
            );
            return Err(match &buckets.fault {
                Some(fault) => error.context(fault.message()).with_source(fault.copy()),
                None => error,
            });
        };
        let key = TableKey::new(table, distribution, *self.hashing.read(), count)?;
        let key = Arc::new(key);
        self.tables.lock().keys.put(table.into(), Arc::clone(&key));
        Ok(key)
    }
}
