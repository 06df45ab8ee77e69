//! Reading the topology over a session.

use crate::backend::{NextRow, Session};
use crate::error::{Error, ErrorKind, Result};
use crate::logging::Logger;
use crate::net::wait::Call;
use crate::params::ParamsRef;
use crate::picodata::discovery::{
    Discovery, INSTANCES, INSTANCES_BRIEF, INSTANCES_OF_ANYONE, LEADER, Leader,
};
use crate::row::Row;
use crate::topology::Snapshot;
use crate::value::ValueRef;

/// What the topology's tables answered.
pub(crate) enum Topology {
    Cluster(Snapshot),
    /// The server has no such tables: it is plain PostgreSQL.
    None,
}

/// Asks the server for the instances of its cluster.
///
/// # Errors
///
/// What broke the connection, or what the server answered where it does have the tables.
pub(crate) fn discover(
    session: &mut dyn Session,
    logger: &Logger,
    call: &Call<'_>,
) -> Result<Topology> {
    let mut leader = Leader::default();
    // Plain PostgreSQL does not know the functions, and a cluster without a quorum may refuse them.
    optional(read(session, LEADER, call, |row| {
        leader = Leader::decode(row)
    }))?;
    let mut first = None;
    for query in [INSTANCES, INSTANCES_OF_ANYONE, INSTANCES_BRIEF] {
        let mut discovery = Discovery::new(leader.clone());
        match optional(read(session, query, call, |row| discovery.push(row)))? {
            None => {
                if discovery.skipped() > 0 {
                    logger.debug(format_args!(
                        "{} rows of the topology were not understood",
                        discovery.skipped()
                    ));
                }
                return discovery.finish().map(Topology::Cluster);
            }
            Some(error) => {
                first.get_or_insert(error);
            }
        }
    }
    match first {
        // "undefined_table"; Picodata itself answers all such errors with XX000.
        Some(error) if error.sqlstate() == Some("42P01") => Ok(Topology::None),
        Some(error) => Err(error),
        None => Ok(Topology::None),
    }
}

/// Tells an answer of the server, which is given, from an error of the connection, which is not.
pub(super) fn optional(result: Result<()>) -> Result<Option<Error>> {
    match result {
        Ok(()) => Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::Database | ErrorKind::Unsupported) => {
            Ok(Some(error))
        }
        Err(error) => Err(error),
    }
}

/// Gives every row of a query to `take`.
pub(super) fn read(
    session: &mut dyn Session,
    query: &str,
    call: &Call<'_>,
    mut take: impl FnMut(&[ValueRef<'_>]),
) -> Result<()> {
    session.query(query, ParamsRef::Positional(&[]), call)?;
    loop {
        match session.next_row()? {
            NextRow::Row => {}
            NextRow::End => return Ok(()),
            NextRow::Wait => {
                session.receive_rows(call)?;
                continue;
            }
        }
        let row = Row::new(session.columns(), session.cells(), session.data());
        let values = (0..row.len())
            .map(|index| row.value(index))
            .collect::<Result<Vec<_>>>()?;
        take(&values);
    }
}
