//! What the texts of Picodata's errors say, which have nothing else to tell them apart by.

/// What stands behind the uuid of a replicaset, which that of an instance may follow: `<uuid> (instance: <uuid>): …`.
pub(super) fn said(rest: &str) -> Option<&str> {
    let (place, said) = rest.split_once(": ")?;
    match place.ends_with(" (instance") {
        true => Some(said.split_once("): ")?.1),
        false => Some(said),
    }
}

/// Picodata's text before what a replicaset says, or the connection to it.
pub(super) const ON_REPLICASET: &str = "Error on replicaset ";

/// Whether a text of Picodata's says that a replicaset has not begun with its part of a statement: its buckets cannot be held
/// where they are at the moment, because they are being moved or the instance has just started; or it could not ask the
/// instance that sends the statement for the plan, which is what 26.1 says once where that instance has been restarted.
pub(super) fn has_not_begun(text: &str) -> bool {
    let wrapped = json_message(text);
    let text = wrapped.as_deref().unwrap_or(text);
    let said = text.strip_prefix(ON_REPLICASET).and_then(said);
    said.is_some_and(|said| {
        said.starts_with("Failed to add a storage reference")
            || said
                .strip_prefix(EXECUTING)
                .is_some_and(|said| said.starts_with("sbroad: proc_query_metadata call failed"))
    })
}

/// Picodata's text before what the storage of a replicaset says.
const EXECUTING: &str = "Failed to execute '.proc_sql_execute': ";
/// The same before why a transaction of it was given up.
const ROLLED_BACK: &str = "invalid transaction: transaction rolled-back: ";

/// Whether a text of Picodata's says that a row is there already, or that a column that must not be NULL is.
pub(super) fn is_constraint(text: &str) -> bool {
    text.starts_with("TupleFound: Duplicate key")
        // The same two of a block.
        || text.starts_with("Duplicate key exists in unique index ")
        || text.starts_with("Failed to execute SQL statement: NOT NULL constraint failed: ")
        || text.starts_with("invalid column: NonNull column ")
        || text.starts_with("FieldType: ") && text.ends_with(", got nil")
}

/// Picodata's text for a plan made before a change of the schema, before 26.1 and after.
const OUTDATED_SCHEMA: &str = "storage schema version different from router";
/// Picodata's text for a plan of a table that was dropped, before the number of the table, or its name. A new one of its name does not
/// help: this comes for each run of what was prepared for the old one.
const DROPPED_TABLE: &str = "space metadata for table: ";

/// Whether a text that [is about the schema](is_outdated) is of the instance that was asked, and of nobody else: it has run
/// nothing, or was to run the whole and has undone it.
pub(super) fn is_of_router(text: &str) -> bool {
    text.starts_with(OUTDATED_SCHEMA) || text.starts_with(DROPPED_TABLE)
}

/// Whether a text says that a storage has no table like the plan's.
pub(super) fn is_outdated(text: &str) -> bool {
    text.contains(OUTDATED_SCHEMA) || text.contains(DROPPED_TABLE)
}

/// The innermost sentence of an error of Picodata, which wraps it in what it passed through:
/// `sbroad: box error: ProcLua: {"code":32,…,"message":"Error on replicaset r1: … TupleFound: Duplicate key …"}`.
pub(super) fn innermost(message: &str) -> String {
    let mut text = message.to_owned();
    while let Some(inner) = json_message(&text) {
        text = inner;
    }
    let mut rest = text.as_str();
    // The name of a Tarantool error begins the sentence; quoted names and tuples behind it are the user's.
    let plain = rest.find(['"', '[', '{']).unwrap_or(rest.len());
    let named = rest[..plain]
        .match_indices(": ")
        .map(|(colon, _)| {
            let start = rest[..colon].rfind(' ').map_or(0, |space| space + 1);
            (start, colon)
        })
        .find(|(start, colon)| is_error_name(&rest[*start..*colon]));
    if let Some((start, _)) = named {
        rest = &rest[start..];
    }
    loop {
        let stripped = ["sbroad: ", "box error: ", EXECUTING, ROLLED_BACK]
            .iter()
            .find_map(|prefix| rest.strip_prefix(prefix))
            .or_else(|| rest.strip_prefix(ON_REPLICASET).and_then(said));
        match stripped {
            Some(inner) => rest = inner,
            None => return rest.to_owned(),
        }
    }
}

/// Whether a word is written like `TupleFound`.
fn is_error_name(word: &str) -> bool {
    let humps = word.bytes().filter(u8::is_ascii_uppercase).count();
    word.starts_with(|first: char| first.is_ascii_uppercase())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && humps >= 2
        && humps < word.len()
}

/// The value of the first `"message"` in a JSON object that a text ends in.
pub(super) fn json_message(text: &str) -> Option<String> {
    const KEY: &str = "\"message\":";
    let object = text.get(text.find('{')?..)?;
    let value = object.get(object.find(KEY)? + KEY.len()..)?;
    let mut chars = value.trim_start().strip_prefix('"')?.chars();
    let mut out = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(out),
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).ok()?;
                    out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_constraints_are_told_by_their_texts() {
        for (text, expected) in [
            (
                "TupleFound: Duplicate key exists in unique index \"a\"",
                true,
            ),
            (
                "FieldType: Tuple field 3 (t) type does not match one required by operation: expected integer, got nil",
                true,
            ),
            (
                "FieldType: Tuple field 6 (u) type does not match one required by operation: expected unsigned, got integer",
                false,
            ),
            (
                "invalid column: NonNull column \"t\" must be specified",
                true,
            ),
            ("table with name \"t\" not found", false),
        ] {
            assert_eq!(is_constraint(text), expected, "{text}");
        }
    }

    #[test]
    fn the_innermost_sentence_is_found() {
        let duplicate = r#"TupleFound: Duplicate key exists in unique index "t_pkey" in space "t""#;
        let wrapped = format!(
            r#"sbroad: box error: ProcLua: {{"code":32,"base_type":"LuajitError","message":"Error on replicaset default_1_1: Failed to execute SQL statement: {}","trace":[{{"message":"x"}}]}}"#,
            duplicate.replace('"', "\\\"")
        );
        for (message, expected) in [
            (wrapped.as_str(), duplicate),
            (
                r#"sbroad: box error: ProcLua: {"code":32,"message":"Error on replicaset r: sbroad: {\"message\":\"storage schema version different from router\"}"}"#,
                "storage schema version different from router",
            ),
            (
                r#"sbroad: box error: ProcLua: {"code":32,"message":"Error on replicaset r (instance: i): sbroad: query for request_id q with plan_id 7 not found"}"#,
                "query for request_id q with plan_id 7 not found",
            ),
            (
                r#"sbroad: table with name "t" not found"#,
                r#"table with name "t" not found"#,
            ),
            ("sbroad: rule parsing error: x", "rule parsing error: x"),
            (
                "box error: AccessDenied: Read access to space '_pico_tier' is denied",
                "AccessDenied: Read access to space '_pico_tier' is denied",
            ),
            (
                r#"TupleFound: Duplicate key in "i" with old tuple - ["OtherName: x"]"#,
                r#"TupleFound: Duplicate key in "i" with old tuple - ["OtherName: x"]"#,
            ),
            ("", ""),
            ("{", "{"),
            (r#"{"message":"cut"#, r#"{"message":"cut"#),
            (r#"{"message":7}"#, r#"{"message":7}"#),
            (r#"{"message":"a\u00e9\n\"b\""}"#, "aé\n\"b\""),
            ("é: {\"message\":\"ö: TupleFound: é\"}", "TupleFound: é"),
            ("SQL: select", "SQL: select"),
        ] {
            assert_eq!(innermost(message), expected, "{message}");
        }
    }
}
