//! The distribution key of a statement, which a 26.1 server tells before ParseComplete to a client that
//! started with `pico_query_metadata=true`.

use super::error::json_text;
use super::lexer::{Kind, Token};
use super::sql::{closing, split_commas};
use super::tables::Table;
use super::types::Type;

/// The parameters that make the distribution key, as pairs of number and type: those of an INSERT of one row
/// that gives every column of the key as a parameter. Otherwise there are none, even where a
/// condition names the key: that is what 26.1 answers.
pub fn distribution_key(
    tokens: &[Token],
    table: Option<&Table>,
    params: &[Type],
) -> Vec<(usize, u32)> {
    table
        .and_then(|table| inserted(tokens, table, params))
        .unwrap_or_default()
}

fn inserted(tokens: &[Token], table: &Table, params: &[Type]) -> Option<Vec<(usize, u32)>> {
    let (columns, row) = insert_parts(tokens, table)?;
    let of_column = |name: &String| {
        let position = columns.iter().position(|column| column == name)?;
        let number = parameter(row.get(position)?)?;
        Some((number, params.get(number - 1)?.oid()))
    };
    table.distributed_by.iter().map(of_column).collect()
}

/// The columns and the one row of `INSERT INTO table [(columns)] VALUES (row)`.
pub fn insert_parts<'a>(
    tokens: &'a [Token],
    table: &Table,
) -> Option<(Vec<String>, Vec<&'a [Token]>)> {
    let mut at = 3;
    let mut columns: Vec<String> = table.columns.iter().map(|one| one.name.clone()).collect();
    if tokens.get(at)?.is("(") {
        let end = closing("", tokens, at).ok()?;
        columns = tokens[at + 1..end]
            .iter()
            .filter_map(Token::name)
            .map(str::to_owned)
            .collect();
        at = end + 1;
    }
    if !tokens.get(at)?.is("values") || !tokens.get(at + 1)?.is("(") {
        return None;
    }
    let end = closing("", tokens, at + 1).ok()?;
    if tokens.get(end + 1).is_some_and(|token| token.is(",")) {
        return None;
    }
    Some((columns, split_commas(&tokens[at + 2..end])))
}

/// The number of the parameter that an expression is, with or without a cast.
fn parameter(tokens: &[Token]) -> Option<usize> {
    let token = match tokens {
        [one] | [one, _, _] if tokens.len() == 1 || tokens[1].is("::") => one,
        [cast, open, one, ..] if cast.is("cast") && open.is("(") => one,
        _ => return None,
    };
    match token.kind {
        Kind::Param(number) => Some(number),
        _ => None,
    }
}

/// The text of the notice. A statement on no table, or on a global one, has no tier.
pub fn metadata(query: &str, tier: Option<&str>, key: &[(usize, u32)]) -> String {
    let pairs: Vec<_> = key
        .iter()
        .map(|(number, oid)| format!("[{number},{oid}]"))
        .collect();
    format!(
        "{{\"type\":\"PreparedStatementMetadata\",\"query\":{},\"tier\":{},\"dk_meta\":[{}]}}",
        json_text(query),
        tier.map_or("null".to_owned(), json_text),
        pairs.join(",")
    )
}
