//! Statements before they run: prepared once for each text, and checked against what the server can.

use super::{DB, DqliteSession};
use crate::dqlite::channel::harmless;
use crate::dqlite::statements::{Kind, Prepared};
use crate::dqlite::wire::params;
use crate::dqlite::wire::request::Request;
use crate::dqlite::wire::response::Response;
use crate::dqlite::wire::{ERROR_PARSE, PARAMS_SCHEMA_U8, PREPARE_SCHEMA_SINGLE};
use crate::error::{Error, ErrorKind, Result};
use crate::net::wait::Call;
use crate::sql::Dialect;

impl DqliteSession {
    /// What is known of a text, and the statement that the server holds for it, if any.
    pub(super) fn look_up(
        &mut self,
        sql: &str,
        call: &Call<'_>,
    ) -> Result<(Kind, Option<Prepared>)> {
        if let Some(prepared) = self.statements.get(sql).copied() {
            return Ok((prepared.kind, Some(prepared)));
        }
        let kind = Kind::of(sql)?;
        if kind.preparable && self.statements.size() > 0 {
            let prepared = self.prepare_text(sql, kind, call)?;
            return Ok((kind, Some(prepared)));
        }
        Ok((kind, None))
    }

    pub(super) fn prepare_text(
        &mut self,
        sql: &str,
        kind: Kind,
        call: &Call<'_>,
    ) -> Result<Prepared> {
        one_statement(sql, kind)?;
        loop {
            let request = Request::Prepare {
                db: u64::from(DB),
                sql,
                schema: self.prepare_schema,
            };
            self.converse(&request, call).map_err(harmless)?;
            match self.take_prepared(sql, kind) {
                Err(error) if self.is_unknown_schema(&error) => {
                    self.prepare_schema = PREPARE_SCHEMA_SINGLE;
                }
                other => return other,
            }
        }
    }

    pub(super) fn is_unknown_schema(&self, error: &Error) -> bool {
        self.prepare_schema != PREPARE_SCHEMA_SINGLE
            && error.code().is_some_and(|code| code as u64 == ERROR_PARSE)
    }

    /// Takes the answer to PREPARE.
    pub(super) fn take_prepared(&mut self, sql: &str, kind: Kind) -> Result<Prepared> {
        let (id, parameters) = match self.channel.response().map_err(harmless)? {
            Response::Stmt { id, params, .. } => {
                self.since_1_15 = Some(false);
                (id, params)
            }
            Response::StmtWithOffset { id, params, .. } => {
                self.since_1_15 = Some(true);
                (id, params)
            }
            _ => return Err(harmless(self.channel.unexpected("STMT"))),
        };
        let prepared = Prepared {
            id,
            parameters: usize::try_from(parameters).unwrap_or(usize::MAX),
            kind,
        };
        self.statements.put(sql, prepared);
        Ok(prepared)
    }

    /// Whether the server is 1.15 or later; asks it where that is not known yet.
    fn is_since_1_15(&mut self, call: &Call<'_>) -> Result<bool> {
        if self.since_1_15.is_none() {
            // Nothing was prepared yet, or nothing could be.
            let probe = "SELECT 1";
            self.prepare_text(probe, Kind::of(probe)?, call)?;
        }
        Ok(self.since_1_15 == Some(true))
    }

    /// Fails where the server has not what a statement needs.
    pub(super) fn check_support(
        &mut self,
        kind: Kind,
        parameters: usize,
        call: &Call<'_>,
    ) -> Result<()> {
        // 1.11 does not look at the schema of the parameters, and takes the low byte of their number for the
        // whole: of 256 it binds none, and runs the statement all the same.
        if params::schema(parameters) != PARAMS_SCHEMA_U8 && !self.is_since_1_15(call)? {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "this server takes at most 255 parameters, not {parameters}; dqlite 1.15 takes more"
                ),
            ));
        }
        if !kind.writes_and_answers || self.is_since_1_15(call)? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            "this server runs a writing statement with RETURNING on the leader alone and does not \
             replicate it; dqlite 1.15 does. Leave RETURNING out and use last_insert_id",
        ))
    }
}

/// Fails where a text that has to be one statement is several.
pub(super) fn one_statement(sql: &str, kind: Kind) -> Result<()> {
    if !kind.several {
        return Ok(());
    }
    let end = crate::sql::shape(sql, Dialect::Sqlite).first_end;
    Err(Error::new(
        ErrorKind::Misuse,
        format!(
            "one statement is expected, but another one begins after byte {end}; \
             run several with exec, without parameters, or in a batch"
        ),
    ))
}
