//! Preparing a text for a session, and forgetting one that is out of date.

use std::pin::pin;
use std::sync::Arc;

use crate::error::{Outcome, Result};
use crate::net::wait::Call;
use crate::params::ParamsRef;
use crate::picodata::drive;
use crate::picodata::failure::{Cause, placed};
use crate::picodata::session::PicodataSession;
use crate::picodata::statements::{Kind, Prepared, rewritten, style_of};

impl PicodataSession {
    /// The statement of a text, prepared now if it was not before.
    pub(super) fn look_up(
        &mut self,
        sql: &str,
        params: ParamsRef<'_>,
        call: &Call<'_>,
    ) -> Result<Arc<Prepared>> {
        if let Some(prepared) = self.statements.get(sql) {
            return Ok(Arc::clone(prepared));
        }
        let kind = self.kind_of(sql)?.one(sql)?;
        self.prepare_text(sql, kind, params, call)
    }

    /// Prepares a text. Whatever goes wrong, the statement has not been run.
    pub(super) fn prepare_text(
        &mut self,
        sql: &str,
        kind: Kind,
        params: ParamsRef<'_>,
        call: &Call<'_>,
    ) -> Result<Arc<Prepared>> {
        let (text, names) = rewritten(sql, params, self.options.placeholders)?;
        self.quiesce(call)?;
        // tokio-postgres tells the server of a dropped statement when it is next asked for something, which is now.
        if kind.preparable {
            self.statements.make_room(1);
        }
        self.statements.take_dropped(|_| false);
        let client = Arc::clone(&self.client);
        self.driver.line_mut().take_names();
        let mut preparing = pin!(client.prepare(&text));
        let prepared = match self.driver.run(call, drive::poll(preparing.as_mut())) {
            Ok(statement) => {
                // Those of further statements that looked up the types are behind it.
                let name = self.driver.line_mut().take_names().into_iter().next();
                if let Some(keys) = &self.options.statement_keys {
                    let told = &mut self.driver.take_descriptions();
                    keys.learn(sql, &text, names.as_ref(), told);
                }
                Prepared::new(statement, name, kind, self.options.server, names)?
            }
            Err(failure) if failure.cause == Cause::CallEnded => {
                // It may wait for a lock of another session.
                self.stop(|driver, call| driver.run(call, drive::poll(preparing.as_mut())));
                return Err(failure.error);
            }
            Err(failure) => {
                let style = style_of(params, self.options.placeholders);
                let error = placed(failure.error, sql, style);
                return Err(match error.outcome() {
                    Outcome::Unknown => error.with_outcome(Outcome::NotSent),
                    _ => error,
                });
            }
        };
        let prepared = Arc::new(prepared);
        self.statements.put(sql, Arc::clone(&prepared));
        // The last copy of a statement tells the server when it goes, which for this one is after its run.
        self.statements.take_dropped(|_| false);
        Ok(prepared)
    }

    /// Forgets what is known of a text whose preparation is out of date.
    pub(super) fn forget_stale(&mut self, sql: &str) {
        self.statements.remove(sql);
        self.statements.take_dropped(|_| false);
        if let Some(keys) = &self.options.statement_keys {
            keys.forget(sql);
        }
    }
}
