//! Distribution keys: of a table, and of a statement that the server has described.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::error::{Error, ErrorKind, Result};
use crate::picodata::json::{parse, unexpected};
use crate::picodata::sharding::encode::{Hashing, KeyType, bucket_id, bucket_id_of};
use crate::value::ValueRef;

/// How the rows of a table are spread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Distribution {
    /// Every instance has all of them.
    Global,
    /// By the hash of some columns.
    Sharded(HashKey),
    /// By a column that holds the bucket's number itself.
    ByField { field: String, tier: Arc<str> },
}

/// The columns of a table by which its rows are spread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HashKey {
    tier: Arc<str>,
    fields: Vec<KeyField>,
}

/// One column of a sharding key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyField {
    pub(crate) name: String,
    pub(crate) key_type: KeyType,
}

impl Distribution {
    /// Reads the columns `distribution` and `format` of the table's row in `_pico_table`, both JSON texts.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`]: they are not what is known of them. [`ErrorKind::Unsupported`]: a hash function,
    /// a way of spreading, or a column type that this version does not know.
    pub(crate) fn parse(table: &str, distribution: &str, format: &str) -> Result<Self> {
        let distribution = parse(distribution, "distribution of a table")?;
        let wrong = || {
            unexpected(
                "distribution of a table",
                &format!("({table:?}) that is not understood"),
            )
        };
        // A variant without content is a word, or an object with an empty content.
        let (kind, content) = match &distribution {
            Json::String(kind) => (kind, &Json::Null),
            Json::Object(object) if object.len() == 1 => object.iter().next().ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        let text = |index| {
            content
                .get(index)
                .and_then(Json::as_str)
                .filter(|text: &&str| !text.is_empty())
                .ok_or_else(wrong)
        };
        match kind.as_str() {
            "Global" => Ok(Distribution::Global),
            "ShardedImplicitly" => {
                let function = text(1)?;
                if function != "murmur3" {
                    return Err(unsupported(format!(
                        "the table {table:?} is sharded by the function {function:?}; murmur3 is known"
                    )));
                }
                let names = content
                    .get(0)
                    .and_then(Json::as_array)
                    .filter(|names| !names.is_empty())
                    .ok_or_else(wrong)?;
                let format = self::parse(format, "format of a table")?;
                let fields = names
                    .iter()
                    .map(|name| KeyField::find(name.as_str().ok_or_else(wrong)?, &format, table))
                    .collect::<Result<_>>()?;
                Ok(Distribution::Sharded(HashKey {
                    tier: text(2)?.into(),
                    fields,
                }))
            }
            "ShardedByField" => Ok(Distribution::ByField {
                field: text(0)?.to_owned(),
                tier: text(1)?.into(),
            }),
            other => Err(unsupported(format!(
                "the table {table:?} is distributed as {other:?}, which is not known"
            ))),
        }
    }
}

fn unsupported(message: String) -> Error {
    Error::new(ErrorKind::Unsupported, message)
}

impl KeyField {
    /// The column `name` with its type from a table's format.
    fn find(name: &str, format: &Json, table: &str) -> Result<Self> {
        let described = format
            .as_array()
            .into_iter()
            .flatten()
            .find(|field| field.get("name").and_then(Json::as_str) == Some(name))
            .and_then(|field| field.get("field_type"))
            .and_then(Json::as_str)
            .ok_or_else(|| {
                let fault = format!("({table:?}) that does not describe its column {name:?}");
                unexpected("format of a table", &fault)
            })?;
        let key_type = KeyType::from_name(described).ok_or_else(|| {
            unsupported(format!(
                "the table {table:?} is sharded by its column {name:?} of the type {described:?}, \
                 whose hash is not known"
            ))
        })?;
        Ok(KeyField {
            name: name.to_owned(),
            key_type,
        })
    }
}

impl HashKey {
    /// The tier that the table's buckets are in.
    pub(crate) fn tier(&self) -> &Arc<str> {
        &self.tier
    }

    /// The columns, in the order in which they are hashed.
    pub(crate) fn fields(&self) -> &[KeyField] {
        &self.fields
    }

    /// The bucket of a row with these values in the columns of the key.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`]: another number of values than the key has columns. Otherwise as [`bucket_id`].
    pub(crate) fn bucket_id(
        &self,
        values: &[ValueRef<'_>],
        bucket_count: u64,
        hashing: Hashing,
    ) -> Result<u64> {
        if values.len() != self.fields.len() {
            let names: Vec<_> = self.fields.iter().map(|field| &*field.name).collect();
            return Err(Error::new(
                ErrorKind::Misuse,
                format!(
                    "the sharding key has {} columns ({}), but was given {}",
                    names.len(),
                    names.join(", "),
                    values.len()
                ),
            ));
        }
        let typed = values
            .iter()
            .zip(&self.fields)
            .map(|(value, field)| (*value, field.key_type));
        let what = |index: usize| match self.fields.get(index) {
            Some(field) => format!("the column {:?} of the sharding key", field.name),
            None => "the sharding key".to_owned(),
        };
        bucket_id_of(typed, bucket_count, hashing, what)
    }
}

/// What a server (26.1 and later, asked with `pico_query_metadata=true`) says of a statement in a notice before
/// it is parsed: which of its parameters are the distribution key.
///
/// Up to now a server says it of INSERTs of one row; of other statements the key is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatementKey {
    /// The text of the statement, as it was sent.
    pub(crate) query: String,
    /// The tier; `None` where the server could not tell.
    pub(crate) tier: Option<Arc<str>>,
    /// The numbers of the parameters, from 0, and their types.
    key: Vec<(usize, KeyType)>,
}

impl StatementKey {
    /// Reads the message of a notice; `None` if it is some other notice.
    ///
    /// A key with a type that is not known counts as an empty one.
    pub(crate) fn from_notice(message: &str) -> Option<Self> {
        if !message.starts_with('{') {
            return None;
        }
        let notice: Json = serde_json::from_str(message).ok()?;
        let query = notice.get("query")?.as_str()?.to_owned();
        let tier = notice.get("tier").and_then(Json::as_str).map(Arc::from);
        let pair = |pair: &Json| {
            let number = usize::try_from(pair.get(0)?.as_u64()?).ok()?;
            let key_type = KeyType::from_oid(pair.get(1)?.as_u64()?)?;
            Some((number.checked_sub(1)?, key_type))
        };
        let pairs = notice.get("dk_meta")?.as_array()?;
        let key = pairs.iter().map(pair).collect::<Option<_>>();
        Some(StatementKey {
            query,
            tier,
            key: key.unwrap_or_default(),
        })
    }

    /// Whether the server has named a key.
    pub(crate) fn is_usable(&self) -> bool {
        !self.key.is_empty()
    }

    /// The bucket that the statement with these parameters goes to; `None` where it is not known.
    pub(crate) fn bucket_id(
        &self,
        parameters: &[ValueRef<'_>],
        bucket_count: u64,
        hashing: Hashing,
    ) -> Option<u64> {
        let values: Option<Vec<_>> = self
            .key
            .iter()
            .map(|(number, key_type)| Some((*parameters.get(*number)?, *key_type)))
            .collect();
        bucket_id(values?, bucket_count, hashing).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = r#"[
        {"name": "id", "field_type": "integer", "is_nullable": false},
        {"name": "bucket_id", "field_type": "unsigned", "is_nullable": false},
        {"name": "code", "field_type": "string", "is_nullable": false},
        {"name": "extra", "field_type": "map", "is_nullable": true}
    ]"#;

    #[test]
    fn the_key_of_a_table_is_read() {
        let distribution = r#"{"ShardedImplicitly": [["id", "code"], "murmur3", "hot"]}"#;
        let Distribution::Sharded(key) =
            Distribution::parse("orders", distribution, FORMAT).unwrap()
        else {
            panic!("not sharded");
        };
        assert_eq!(&**key.tier(), "hot");
        let fields: Vec<_> = key
            .fields()
            .iter()
            .map(|f| (&*f.name, f.key_type))
            .collect();
        assert_eq!(fields, [("id", KeyType::Integer), ("code", KeyType::Text)]);
        // A row of the vectors.
        let bucket = key.bucket_id(
            &[ValueRef::Int(502_013), ValueRef::Text("bycayxybzxya")],
            3000,
            Hashing::default(),
        );
        assert_eq!(bucket.unwrap(), 1921);
        let error = key
            .bucket_id(&[ValueRef::Int(1)], 3000, Hashing::default())
            .unwrap_err();
        assert_eq!(
            error.message(),
            "the sharding key has 2 columns (id, code), but was given 1"
        );
    }

    #[test]
    fn tables_that_are_not_hashed_are_told_apart() {
        for global in [r#""Global""#, r#"{"Global": null}"#, r#"{"Global": []}"#] {
            let distribution = Distribution::parse("t", global, FORMAT).unwrap();
            assert_eq!(distribution, Distribution::Global);
        }
        let by_field = r#"{"ShardedByField": ["bucket_id", "default"]}"#;
        assert_eq!(
            Distribution::parse("t", by_field, FORMAT).unwrap(),
            Distribution::ByField {
                field: "bucket_id".into(),
                tier: "default".into()
            }
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (distribution, format, kind, part) in [
            ("", FORMAT, ErrorKind::Protocol, "not json"),
            ("[]", FORMAT, ErrorKind::Protocol, "\"t\""),
            ("{}", FORMAT, ErrorKind::Protocol, "\"t\""),
            (r#""Wild""#, FORMAT, ErrorKind::Unsupported, "Wild"),
            (
                r#"{"ShardedImplicitly": 1}"#,
                FORMAT,
                ErrorKind::Protocol,
                "\"t\"",
            ),
            (
                r#"{"ShardedImplicitly": [[], "murmur3", "d"]}"#,
                FORMAT,
                ErrorKind::Protocol,
                "\"t\"",
            ),
            (
                r#"{"ShardedImplicitly": [["id"], "md5", "d"]}"#,
                FORMAT,
                ErrorKind::Unsupported,
                "md5",
            ),
            (
                r#"{"ShardedImplicitly": [["id"], "murmur3"]}"#,
                FORMAT,
                ErrorKind::Protocol,
                "\"t\"",
            ),
            (
                r#"{"ShardedImplicitly": [["none"], "murmur3", "d"]}"#,
                FORMAT,
                ErrorKind::Protocol,
                "\"none\"",
            ),
            (
                r#"{"ShardedImplicitly": [["extra"], "murmur3", "d"]}"#,
                FORMAT,
                ErrorKind::Unsupported,
                "\"map\"",
            ),
            (
                r#"{"ShardedImplicitly": [["id"], "murmur3", "d"]}"#,
                "{",
                ErrorKind::Protocol,
                "format",
            ),
        ] {
            let error = Distribution::parse("t", distribution, format).unwrap_err();
            assert_eq!(error.kind(), kind, "{distribution}: {error}");
            assert!(error.message().contains(part), "{distribution}: {error}");
        }
    }

    #[test]
    fn a_notice_names_the_parameters_of_the_key() {
        let notice = r#"{"query": "INSERT INTO t VALUES ($1, $2)", "tier": "default", "dk_meta": [[2, 25]]}"#;
        let statement = StatementKey::from_notice(notice).unwrap();
        assert_eq!(statement.query, "INSERT INTO t VALUES ($1, $2)");
        assert_eq!(statement.tier.as_deref(), Some("default"));
        let bucket =
            |parameters: &[ValueRef<'_>]| statement.bucket_id(parameters, 3000, Hashing::default());
        assert_eq!(
            bucket(&[ValueRef::Int(7), ValueRef::Text("hello")]),
            Some(1481)
        );
        assert_eq!(bucket(&[ValueRef::Int(7)]), None);
        assert_eq!(bucket(&[ValueRef::Int(7), ValueRef::Int(7)]), None);
    }

    #[test]
    fn a_notice_without_a_usable_key_gives_no_bucket() {
        for dk_meta in [
            "[]",
            "[[1, 114]]",
            "[[0, 20]]",
            "[[1]]",
            "[1]",
            "[[-1, 20]]",
            "[[1, 20], [2, 17]]",
        ] {
            let notice = format!(r#"{{"query": "q", "tier": null, "dk_meta": {dk_meta}}}"#);
            let statement = StatementKey::from_notice(&notice).unwrap();
            assert_eq!(statement.tier, None);
            let parameters = [ValueRef::Int(1), ValueRef::Int(1)];
            let bucket = statement.bucket_id(&parameters, 3000, Hashing::default());
            assert_eq!(bucket, None, "{dk_meta}");
        }
    }

    #[test]
    fn other_notices_are_left_alone() {
        for message in [
            "",
            "table \"t\" does not exist, skipping",
            "{",
            "{}",
            r#"{"dk_meta": []}"#,
            r#"{"query": "q"}"#,
            r#"{"query": 1, "dk_meta": []}"#,
            r#"{"query": "q", "dk_meta": 1}"#,
        ] {
            assert_eq!(StatementKey::from_notice(message), None, "{message}");
        }
    }
}
