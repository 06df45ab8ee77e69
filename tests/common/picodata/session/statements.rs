//! The statements of a connection: the simple and the extended protocol.

use pgwire::messages::PgWireBackendMessage as Answer;
use pgwire::messages::PgWireFrontendMessage as Message;
use pgwire::messages::data::ParameterDescription;
use pgwire::messages::extendedquery::{
    Bind, BindComplete, CloseComplete, Execute, Parse, ParseComplete, PortalSuspended,
};
use pgwire::messages::response::{EmptyQueryResponse, NoticeResponse};
use rusqlite::types::Value;

use super::super::auth::{Method, User};
use super::super::engine::{Failure, Outcome};
use super::super::error::PgError;
use super::super::notices::metadata;
use super::super::plan::{Action, Plan, plan};
use super::super::world::{Fault, World};
use super::{End, Portal, Session};

impl Session {
    pub(super) fn simple(&mut self, world: &mut World, sql: &str) -> Result<(), PgError> {
        world.note_statement(self.node, sql);
        let plan = self.plan(world, sql, &[])?;
        if !plan.params.is_empty() {
            let count = plan.params.len();
            return Err(PgError::sql(format!(
                "invalid query: expected {count} values for parameters, got 0"
            )));
        }
        match self.run(world, &plan, &[])? {
            Some(rows) => {
                let formats = vec![false; plan.columns.len()];
                self.describe(&plan.columns, &formats);
                let count = rows.len();
                for row in rows {
                    self.row(&plan.columns, &formats, &row)?;
                }
                self.complete(&format!("SELECT {count}"));
            }
            None if matches!(plan.action, Action::Empty) => {
                self.say(Answer::EmptyQueryResponse(EmptyQueryResponse::new()));
            }
            None => {}
        }
        Ok(())
    }

    pub(super) fn extended(&mut self, world: &mut World, message: Message) -> Result<(), PgError> {
        match message {
            Message::Parse(parse) => self.parse(world, parse),
            Message::Bind(bind) => self.bind(world, bind),
            Message::Execute(execute) => self.execute(world, &execute),
            Message::Describe(describe) => {
                let name = describe.name.unwrap_or_default();
                if describe.target_type == b'S' {
                    let plan = self.statement(&name)?.clone();
                    let oids = plan.params.iter().map(|(_, oid)| *oid).collect();
                    self.say(Answer::ParameterDescription(ParameterDescription::new(
                        oids,
                    )));
                    self.describe(&plan.columns, &vec![false; plan.columns.len()]);
                } else {
                    let portal = self.portals.get(&name).ok_or_else(|| no_portal(&name))?;
                    let (columns, formats) = (portal.plan.columns.clone(), portal.formats.clone());
                    self.describe(&columns, &formats);
                }
                Ok(())
            }
            Message::Close(close) => {
                let name = close.name.unwrap_or_default();
                if close.target_type == b'S' {
                    self.statements.remove(&name);
                    self.portals.retain(|_, portal| portal.statement != name);
                } else {
                    self.portals.remove(&name);
                }
                self.say(Answer::CloseComplete(CloseComplete::new()));
                Ok(())
            }
            other => Err(PgError::unsupported(format!("{other:?}"))),
        }
    }

    fn parse(&mut self, world: &mut World, parse: Parse) -> Result<(), PgError> {
        world.counters(self.node).parses += 1;
        let name = parse.name.unwrap_or_default();
        let plan = self.plan(world, &parse.query, &parse.type_oids)?;
        if !name.is_empty() && self.statements.contains_key(&name) {
            return Err(PgError::new(
                "42P05",
                format!("Statement '{name}' already exists"),
            ));
        }
        if self.query_metadata {
            let text = metadata(&parse.query, plan.tier.as_deref(), &plan.key);
            self.say(Answer::NoticeResponse(NoticeResponse::new(vec![
                (b'S', "NOTICE".to_owned()),
                (b'C', "00000".to_owned()),
                (b'M', text),
            ])));
        }
        self.statements.insert(name, plan);
        self.say(Answer::ParseComplete(ParseComplete::new()));
        Ok(())
    }

    fn bind(&mut self, world: &World, bind: Bind) -> Result<(), PgError> {
        let statement = bind.statement_name.unwrap_or_default();
        let plan = self.statement(&statement)?.clone();
        if self.invalidation && world.stale(&plan).is_some() {
            let mut names = plan.tables.iter().map(|(name, _)| name);
            if let Some(name) = names.find(|name| world.engine.table(name).is_none()) {
                let text = format!("space metadata for table: {name} not found");
                return Err(PgError::sql(text));
            }
            let text = format!("prepared statement {statement} has been invalidated");
            return Err(PgError::new("42999", text));
        }
        let (given, needed) = (bind.parameters.len(), plan.params.len());
        if given != needed {
            return Err(PgError::protocol(format!(
                "got {given} parameters for {needed} items"
            )));
        }
        let formats = formats(&bind.parameter_format_codes, needed)?;
        let mut params = Vec::new();
        for (index, bytes) in bind.parameters.iter().enumerate() {
            let (kind, oid) = plan.params[index];
            let value = bytes.as_ref().map_or(Ok(Value::Null), |bytes| {
                kind.decode(oid, formats[index], bytes)
            });
            params.push(value.map_err(|error| PgError {
                message: format!("failed to bind parameter ${}: {}", index + 1, error.message),
                ..error
            })?);
        }
        let name = bind.portal_name.unwrap_or_default();
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(PgError::new(
                "42P03",
                format!("Portal '{name}' already exists"),
            ));
        }
        let portal = Portal {
            statement,
            formats: self::formats(&bind.result_column_format_codes, plan.columns.len())?,
            plan,
            params,
            rows: None,
        };
        self.portals.insert(name, portal);
        self.say(Answer::BindComplete(BindComplete::new()));
        Ok(())
    }

    fn execute(&mut self, world: &mut World, execute: &Execute) -> Result<(), PgError> {
        let name = execute.name.clone().unwrap_or_default();
        let mut portal = self.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
        if portal.rows.is_none() {
            world.note_statement(self.node, &portal.plan.query);
            if let Some(text) = world.stale(&portal.plan) {
                return Err(world.remote(self.node, text));
            }
            match self.run(world, &portal.plan, &portal.params)? {
                Some(rows) => portal.rows = Some(rows.into()),
                None => {
                    if matches!(portal.plan.action, Action::Empty) {
                        self.say(Answer::EmptyQueryResponse(EmptyQueryResponse::new()));
                    }
                    return Ok(());
                }
            }
        }
        let rows = portal.rows.get_or_insert_default();
        let limit = usize::try_from(execute.max_rows)
            .ok()
            .filter(|limit| *limit > 0);
        let count = limit.unwrap_or(usize::MAX).min(rows.len());
        let sent: Vec<_> = rows.drain(..count).collect();
        let suspended = !rows.is_empty();
        for row in &sent {
            self.row(&portal.plan.columns, &portal.formats, row)?;
        }
        if suspended {
            self.say(Answer::PortalSuspended(PortalSuspended::new()));
        } else {
            self.complete(&format!("SELECT {count}"));
        }
        self.portals.insert(name, portal);
        Ok(())
    }

    fn plan(&self, world: &World, sql: &str, oids: &[u32]) -> Result<Plan, PgError> {
        let plan = plan(&world.engine, sql, oids)?;
        let privileged = world
            .users
            .get(&self.user)
            .is_some_and(|user| user.privileged);
        if !privileged && plan.tables.iter().any(|(name, _)| name == "_pico_tier") {
            return Err(PgError::access_denied("_pico_tier", &self.user));
        }
        Ok(plan)
    }

    /// Runs a statement. The rows are for the caller to send; a tag has been sent already.
    fn run(
        &mut self,
        world: &mut World,
        plan: &Plan,
        params: &[Value],
    ) -> Result<Option<Vec<Vec<Value>>>, PgError> {
        let fault = world.fault(self.node, &plan.query);
        match &fault {
            Some(Fault::Refuse(code, text)) => return Err(PgError::new(code, text)),
            Some(Fault::Stall) => self.ended = Some(End::Stall),
            Some(Fault::Close | Fault::RunAndClose) => self.ended = Some(End::Close),
            None => {}
        }
        if matches!(fault, Some(Fault::Stall | Fault::Close)) {
            return Ok(None);
        }
        if plan.is_ddl() && world.quorum_lost() {
            return Err(PgError::new("XX000", "Timeout: timeout"));
        }
        world.answer_as(self.node);
        let outcome = world
            .engine
            .run(plan, params)
            .map_err(|failure| match failure {
                Failure::Duplicate(table) => world.duplicate_key(self.node, &table),
                Failure::Other(error) => error,
            })?;
        match (&plan.action, outcome) {
            (_, Outcome::Rows(rows)) => {
                let limit = plan.row_max.unwrap_or(self.row_max);
                let count = rows.len() as u64;
                if limit > 0 && count > limit {
                    return Err(PgError::sql(format!(
                        "unexpected number of values: Exceeded maximum number of rows ({limit}) \
                         in virtual table: {}",
                        limit + 1
                    )));
                }
                return Ok(Some(rows));
            }
            (Action::Change(tag, _), Outcome::Affected(count)) => {
                self.complete(&format!("{tag} {count}"));
            }
            (Action::Tag(tag) | Action::Schema(tag, _), _) => self.complete(tag),
            (Action::Create { .. }, _) => self.complete("CREATE TABLE"),
            (Action::Drop { .. }, _) => self.complete("DROP TABLE"),
            (Action::CreateIndex(..), _) => self.complete("CREATE INDEX"),
            (Action::DropIndex { .. }, _) => self.complete("DROP INDEX"),
            (Action::Alter { .. }, _) => self.complete("ALTER TABLE"),
            (
                Action::CreateUser {
                    name,
                    password,
                    method,
                },
                _,
            ) => {
                let method = match &**method {
                    "ldap" => Method::Cleartext,
                    word if word.starts_with("scram") => Method::Scram,
                    _ => Method::Md5,
                };
                world.users.put(name, User::new(password, method));
                self.complete("CREATE ROLE");
            }
            (Action::Deallocate(None), _) => {
                self.statements.clear();
                self.complete("DEALLOCATE ALL");
            }
            (Action::Deallocate(Some(name)), _) => {
                if self.statements.remove(name).is_none() {
                    return Err(PgError::new(
                        "XX000",
                        format!("prepared statement {name} does not exist."),
                    ));
                }
                self.complete("DEALLOCATE");
            }
            _ => {}
        }
        Ok(None)
    }

    fn statement(&self, name: &str) -> Result<&Plan, PgError> {
        let missing = || PgError::new("XX000", format!("Couldn't find statement '{name}'."));
        self.statements.get(name).ok_or_else(missing)
    }
}

fn no_portal(name: &str) -> PgError {
    PgError::new("XX000", format!("Couldn't find portal '{name}'."))
}

/// One format for each of `count` items: none given is text, one is for all.
fn formats(codes: &[i16], count: usize) -> Result<Vec<bool>, PgError> {
    match codes {
        [] => Ok(vec![false; count]),
        [one] => Ok(vec![*one == 1; count]),
        _ if codes.len() == count => Ok(codes.iter().map(|code| *code == 1).collect()),
        _ => Err(PgError::protocol(format!(
            "got {} format codes for {count} items",
            codes.len()
        ))),
    }
}
