//! The sharding key of a table, with all that its buckets are computed from.

use std::sync::Arc;

use crate::backend::TableSharding;
use crate::error::{Error, ErrorKind, Result};
use crate::params::ParamsRef;
use crate::picodata::sharding::{Distribution, HashKey, Hashing};
use crate::value::ValueRef;

/// How the rows of one table are spread over the buckets of its tier. It never changes; a new reading makes a new
/// one.
#[derive(Debug)]
pub(crate) struct TableKey {
    table: Arc<str>,
    tier: Arc<str>,
    columns: Vec<String>,
    spread: Spread,
    bucket_count: u64,
}

#[derive(Debug)]
enum Spread {
    /// By the hash of the columns.
    Hash(HashKey, Hashing),
    /// The one column holds the bucket's number.
    Number,
}

impl TableKey {
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`]: the table is not sharded.
    pub(super) fn new(
        table: &str,
        distribution: Distribution,
        hashing: Hashing,
        bucket_count: u64,
    ) -> Result<Self> {
        let (tier, columns, spread) = match distribution {
            Distribution::Global => return Err(global(table)),
            Distribution::Sharded(key) => (
                Arc::clone(key.tier()),
                key.fields()
                    .iter()
                    .map(|field| field.name.clone())
                    .collect(),
                Spread::Hash(key, hashing),
            ),
            Distribution::ByField { field, tier } => (tier, vec![field], Spread::Number),
        };
        Ok(TableKey {
            table: table.into(),
            tier,
            columns,
            spread,
            bucket_count,
        })
    }

    fn bucket_of(&self, values: &[ValueRef<'_>]) -> Result<u64> {
        match &self.spread {
            Spread::Hash(key, hashing) => key.bucket_id(values, self.bucket_count, *hashing),
            Spread::Number => match values {
                [ValueRef::Int(number)] => u64::try_from(*number)
                    .ok()
                    .filter(|number| (1..=self.bucket_count).contains(number))
                    .ok_or_else(|| {
                        self.no_bucket(&format!(
                            "{number}, and the buckets go from 1 to {}",
                            self.bucket_count
                        ))
                    }),
                [other] => Err(self.no_bucket(&format!("a {}, no integer", other.type_name()))),
                _ => Err(Error::new(
                    ErrorKind::Misuse,
                    format!(
                        "the sharding key has 1 column ({}), but was given {}",
                        self.columns.join(", "),
                        values.len()
                    ),
                )),
            },
        }
    }

    fn no_bucket(&self, what: &str) -> Error {
        let column = self.columns.first().map_or("", String::as_str);
        Error::new(
            ErrorKind::Conversion,
            format!(
                "the column {column:?} holds the number of the bucket, and its value is {what}"
            ),
        )
    }

    /// Brings values by name, with or without a prefix, into the order of the columns.
    fn in_order<'v>(&self, named: &[(&str, ValueRef<'v>)]) -> Result<Vec<ValueRef<'v>>> {
        let bare = |name: &str| name.trim_start_matches([':', '@', '$']).to_owned();
        let misuse = |text: String| Err(Error::new(ErrorKind::Misuse, text));
        let mut values = vec![None; self.columns.len()];
        for (name, value) in named {
            let bare = bare(name);
            let Some(index) = self.columns.iter().position(|column| *column == bare) else {
                return misuse(format!(
                    "the sharding key has no column {bare:?}; it has {}",
                    self.columns.join(", ")
                ));
            };
            if let Some(place) = values.get_mut(index)
                && place.replace(*value).is_some()
            {
                return misuse(format!(
                    "the column {bare:?} of the sharding key was given twice"
                ));
            }
        }
        let mut all = Vec::with_capacity(values.len());
        for (value, column) in values.into_iter().zip(&self.columns) {
            match value {
                Some(value) => all.push(value),
                None => {
                    return misuse(format!(
                        "the column {column:?} of the sharding key was not given"
                    ));
                }
            }
        }
        Ok(all)
    }
}

impl TableSharding for TableKey {
    fn table(&self) -> &str {
        &self.table
    }

    fn tier(&self) -> &str {
        &self.tier
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn bucket(&self, params: ParamsRef<'_>) -> Result<u64> {
        let bucket = match params {
            ParamsRef::Positional(values) => self.bucket_of(values),
            ParamsRef::Named(named) => self.bucket_of(&self.in_order(named)?),
        };
        bucket.map_err(|error| error.context(format_args!("the table {:?}", self.table)))
    }
}

pub(super) fn global(table: &str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "the table {table:?} is global: every instance has all of its rows, and there is no sharding key"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = r#"[
        {"name": "id", "field_type": "integer", "is_nullable": false},
        {"name": "code", "field_type": "string", "is_nullable": false}
    ]"#;

    fn key(distribution: &str) -> Result<TableKey> {
        let distribution = Distribution::parse("t", distribution, FORMAT)?;
        TableKey::new("t", distribution, Hashing::default(), 3000)
    }

    #[test]
    fn names_and_positions_give_the_same_bucket() {
        let key = key(r#"{"ShardedImplicitly": [["id", "code"], "murmur3", "hot"]}"#).unwrap();
        assert_eq!((key.table(), key.tier()), ("t", "hot"));
        assert_eq!(key.columns(), ["id", "code"]);
        let values = [ValueRef::Int(12386), ValueRef::Text("ayxyzzb")];
        assert_eq!(key.bucket(ParamsRef::Positional(&values)).unwrap(), 31);
        for names in [["id", "code"], [":id", "$code"]] {
            let named = [(names[1], values[1]), (names[0], values[0])];
            assert_eq!(key.bucket(ParamsRef::Named(&named)).unwrap(), 31);
        }
    }

    #[test]
    fn a_wrong_key_is_refused_by_its_column() {
        let key = key(r#"{"ShardedImplicitly": [["id", "code"], "murmur3", "hot"]}"#).unwrap();
        let (one, text) = (ValueRef::Int(1), ValueRef::Text("x"));
        let table: [(ParamsRef<'_>, ErrorKind, &str); 7] = [
            (
                ParamsRef::Positional(&[one]),
                ErrorKind::Misuse,
                "(id, code), but was given 1",
            ),
            (
                ParamsRef::Positional(&[one, one]),
                ErrorKind::Conversion,
                "the column \"code\"",
            ),
            (
                ParamsRef::Positional(&[text, text]),
                ErrorKind::Conversion,
                "the column \"id\"",
            ),
            (
                ParamsRef::Named(&[("id", one)]),
                ErrorKind::Misuse,
                "\"code\" of the sharding key was not",
            ),
            (
                ParamsRef::Named(&[("id", one), ("name", one), ("code", text)]),
                ErrorKind::Misuse,
                "no column \"name\"",
            ),
            (
                ParamsRef::Named(&[("id", one), ("@id", one), ("code", text)]),
                ErrorKind::Misuse,
                "\"id\" of the sharding key was given twice",
            ),
            (
                ParamsRef::Named(&[("id", text), ("code", text)]),
                ErrorKind::Conversion,
                "the column \"id\"",
            ),
        ];
        for (params, kind, part) in table {
            let error = key.bucket(params).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.message().contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn a_column_may_hold_the_bucket_itself() {
        let key = key(r#"{"ShardedByField": ["id", "hot"]}"#).unwrap();
        assert_eq!((key.tier(), key.columns()), ("hot", &["id".to_owned()][..]));
        let bucket = |value| key.bucket(ParamsRef::Positional(&[value]));
        assert_eq!(bucket(ValueRef::Int(3000)).unwrap(), 3000);
        for wrong in [ValueRef::Int(0), ValueRef::Int(3001), ValueRef::Text("1")] {
            let error = bucket(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conversion);
            assert!(error.message().contains("the column \"id\""), "{error}");
        }
        let error = key.bucket(ParamsRef::Positional(&[])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        let error = self::key(r#"{"Global": null}"#).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
