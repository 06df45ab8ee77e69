//! One connection's conversation, without any I/O: bytes in, bytes out.

mod statements;

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::{BufMut, BytesMut};
use pgwire::messages::data::{DataRow, FieldDescription, NoData, RowDescription};
use pgwire::messages::response::{
    CommandComplete, ErrorResponse, ReadyForQuery, SslResponse, TransactionStatus,
};
use pgwire::messages::startup::{Authentication, ParameterStatus, Startup};
use pgwire::messages::{
    DecodeContext, PgWireBackendMessage as Answer, PgWireFrontendMessage as Message,
    SslNegotiationMetaMessage as Negotiation,
};
use rusqlite::types::Value;

use super::auth::{Method, Scram, md5_answer};
use super::error::PgError;
use super::plan::Plan;
use super::types::Type;
use super::world::{Release, World};

/// Rows of a result, unless the client allows more.
const ROW_MAX: u64 = 5_000;

/// What becomes of the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It waits for more.
    Open,
    /// It goes on in TLS.
    Secure,
    /// It is closed when what there is to send has been sent.
    Closed,
}

#[derive(Debug)]
enum Phase {
    /// An SSLRequest or a start.
    Greeting,
    Md5([u8; 4]),
    Cleartext,
    ScramFirst,
    ScramLast(Box<Scram>),
    Ready,
    /// After an error: everything is passed over up to the next Sync.
    Skipping,
    /// Nothing is answered any more.
    Stalled,
}

#[derive(Debug)]
enum End {
    Stall,
    Close,
}

struct Portal {
    statement: String,
    plan: Plan,
    params: Vec<Value>,
    /// Whether each column is binary.
    formats: Vec<bool>,
    /// What has not been sent yet; `None` before the portal runs.
    rows: Option<VecDeque<Vec<Value>>>,
}

pub struct Session {
    /// The index of the instance it talks to.
    pub node: usize,
    pub secure: bool,
    phase: Phase,
    asked_for_tls: bool,
    input: BytesMut,
    /// What is kept until a flush.
    held: BytesMut,
    user: String,
    row_max: u64,
    query_metadata: bool,
    invalidation: bool,
    statements: HashMap<String, Plan>,
    portals: HashMap<String, Portal>,
    /// How a statement has ended the conversation.
    ended: Option<End>,
    context: DecodeContext,
}

/// Closes the connection at once, without a word.
struct Silent;

impl Session {
    pub fn new(node: usize) -> Session {
        let mut context = DecodeContext::default();
        context.awaiting_ssl = true;
        context.awaiting_startup = true;
        Session {
            node,
            secure: false,
            phase: Phase::Greeting,
            asked_for_tls: false,
            input: BytesMut::new(),
            held: BytesMut::new(),
            user: String::new(),
            row_max: ROW_MAX,
            query_metadata: false,
            invalidation: false,
            statements: HashMap::new(),
            portals: HashMap::new(),
            ended: None,
            context,
        }
    }

    /// Takes what the client sent, and appends what is to be sent to `output`.
    pub fn receive(&mut self, world: &mut World, bytes: &[u8], output: &mut Vec<u8>) -> Verdict {
        self.input.extend_from_slice(bytes);
        loop {
            let message = match Message::decode(&mut self.input, &self.context) {
                Ok(Some(message)) => message,
                Ok(None) => return Verdict::Open,
                Err(_) if self.context.awaiting_startup => return Verdict::Closed,
                Err(error) => {
                    self.refuse(&PgError::new("58030", format!("IO error: {error}")));
                    self.flush(output);
                    return Verdict::Closed;
                }
            };
            let verdict = self.take(world, message, output).unwrap_or(Verdict::Closed);
            if verdict != Verdict::Open {
                return verdict;
            }
        }
    }

    fn take(
        &mut self,
        world: &mut World,
        message: Message,
        output: &mut Vec<u8>,
    ) -> Result<Verdict, Silent> {
        match (&self.phase, message) {
            (Phase::Greeting, Message::SslNegotiation(negotiation)) => match negotiation {
                Negotiation::PostgresSsl(_) if !self.asked_for_tls => {
                    self.asked_for_tls = true;
                    let offered = world.tls.is_some() && !self.secure;
                    let answer = if offered {
                        SslResponse::Accept
                    } else {
                        SslResponse::Refuse
                    };
                    self.say(Answer::SslResponse(answer));
                    self.flush(output);
                    return Ok(if offered {
                        Verdict::Secure
                    } else {
                        Verdict::Open
                    });
                }
                Negotiation::None => self.context.awaiting_ssl = false,
                _ => return Err(Silent),
            },
            (Phase::Greeting, Message::CancelRequest(_)) => {
                world.counters(self.node).cancel_requests += 1;
                return Err(Silent);
            }
            (Phase::Greeting, Message::Startup(startup)) => {
                self.start(world, &startup)?;
                self.flush(output);
                if matches!(self.phase, Phase::Greeting) {
                    return Ok(Verdict::Closed);
                }
            }
            (Phase::Greeting, _) => return Err(Silent),
            (Phase::Ready | Phase::Skipping, Message::Terminate(_)) => return Err(Silent),
            (Phase::Skipping, Message::Sync(_)) | (Phase::Ready, Message::Sync(_)) => {
                self.phase = Phase::Ready;
                self.portals.clear();
                self.ready();
                self.flush(output);
            }
            (Phase::Stalled, Message::Terminate(_)) => return Err(Silent),
            (Phase::Skipping | Phase::Stalled, _) => {}
            (Phase::Ready, Message::Flush(_)) => self.flush(output),
            (Phase::Ready, Message::Query(query)) => {
                let result = self.simple(world, &query.query);
                if self.ended.is_some() {
                    return self.end();
                }
                if let Err(error) = result {
                    self.refuse(&error);
                }
                self.ready();
                self.flush(output);
            }
            (Phase::Ready, message) => {
                let result = self.extended(world, message);
                if self.ended.is_some() {
                    return self.end();
                }
                if let Err(error) = result {
                    self.refuse(&error);
                    self.flush(output);
                    self.phase = Phase::Skipping;
                }
            }
            (_, Message::PasswordMessageFamily(message)) => {
                let step = self.authenticate(world, message);
                if let Err(error) = &step {
                    world.counters(self.node).auth_failures += 1;
                    self.refuse(error);
                }
                self.flush(output);
                if step.is_err() {
                    return Ok(Verdict::Closed);
                }
            }
            _ => return Err(Silent),
        }
        Ok(Verdict::Open)
    }

    /// What is held stays so: a statement has closed the connection, or made it silent.
    fn end(&mut self) -> Result<Verdict, Silent> {
        match self.ended.take() {
            Some(End::Stall) => {
                self.phase = Phase::Stalled;
                Ok(Verdict::Open)
            }
            _ => Err(Silent),
        }
    }

    fn start(&mut self, world: &World, startup: &Startup) -> Result<(), Silent> {
        if (startup.protocol_number_major, startup.protocol_number_minor) != (3, 0) {
            return Err(Silent);
        }
        if world.tls.is_some() && !self.secure {
            self.refuse(&PgError::new(
                "28000",
                "this server requires the client to use ssl",
            ));
            return Ok(());
        }
        self.user = startup.parameters.get("user").ok_or(Silent)?.clone();
        self.options(&startup.parameters, world.release)?;
        let request = match world.users.get(&self.user).map(|user| user.method) {
            Some(Method::Md5) => {
                let salt: [u8; 4] = std::array::from_fn(|_| fastrand::u8(..));
                self.phase = Phase::Md5(salt);
                Authentication::MD5Password(salt.to_vec())
            }
            Some(Method::Cleartext) => {
                self.phase = Phase::Cleartext;
                Authentication::CleartextPassword
            }
            // A user that does not exist is asked like one that does.
            Some(Method::Scram) | None => {
                self.phase = Phase::ScramFirst;
                Authentication::SASL(vec!["SCRAM-SHA-256".to_owned()])
            }
        };
        self.context.awaiting_startup = false;
        self.say(Answer::Authentication(request));
        Ok(())
    }

    /// `options` is `name=value,name=value`; names that are not known are passed over.
    fn options(
        &mut self,
        parameters: &BTreeMap<String, String>,
        release: Release,
    ) -> Result<(), Silent> {
        let mut pairs = Vec::new();
        if let Some(options) = parameters.get("options") {
            for pair in options.split(',') {
                pairs.push(pair.split_once('=').ok_or(Silent)?);
            }
        }
        let direct = parameters
            .iter()
            .filter(|(name, _)| name.starts_with("pico_"));
        pairs.extend(direct.map(|(name, value)| (&**name, &**value)));
        for (name, value) in pairs {
            match name {
                "sql_motion_row_max" | "sql_vdbe_opcode_max" => {
                    let value: i64 = value.parse().map_err(|_| Silent)?;
                    let value = u64::try_from(value).map_err(|_| Silent)?;
                    if name == "sql_motion_row_max" {
                        self.row_max = value;
                    }
                }
                "pico_query_metadata" if release == Release::V26 => {
                    self.query_metadata = value.parse().map_err(|_| Silent)?;
                }
                "pico_stmt_invalidation" if release == Release::V26 => {
                    self.invalidation = value.parse().map_err(|_| Silent)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn authenticate(
        &mut self,
        world: &mut World,
        message: pgwire::messages::startup::PasswordMessageFamily,
    ) -> Result<(), PgError> {
        let password = world
            .users
            .get(&self.user)
            .map(|user| user.password.clone());
        let broken = || PgError::new("58030", "IO error: unexpected message");
        match &self.phase {
            Phase::Md5(salt) => {
                let expected = md5_answer(&self.user, &password.unwrap_or_default(), *salt);
                let answer = message.into_password().map_err(|_| broken())?;
                world
                    .users
                    .finish(&self.user, answer.password == expected)?;
            }
            Phase::Cleartext => {
                let answer = message.into_password().map_err(|_| broken())?;
                let proven = Some(answer.password) == password;
                world.users.finish(&self.user, proven)?;
            }
            Phase::ScramFirst => {
                let first = message.into_sasl_initial_response().map_err(|_| broken())?;
                let data = first.data.unwrap_or_default();
                let mock = password.unwrap_or_else(|| fastrand::u64(..).to_string());
                let begun = Some(first.auth_method)
                    .filter(|method| method == "SCRAM-SHA-256")
                    .and_then(|_| Scram::begin(&data, &mock));
                let (scram, answer) = begun.ok_or_else(broken)?;
                self.phase = Phase::ScramLast(Box::new(scram));
                self.say(Answer::Authentication(Authentication::SASLContinue(
                    answer.into(),
                )));
                return Ok(());
            }
            Phase::ScramLast(scram) => {
                let last = message.into_sasl_response().map_err(|_| broken())?;
                let verifier = scram.finish(&last.data);
                world.users.finish(&self.user, verifier.is_some())?;
                let verifier = verifier.unwrap_or_default();
                self.say(Answer::Authentication(Authentication::SASLFinal(
                    verifier.into(),
                )));
            }
            _ => return Err(broken()),
        }
        self.phase = Phase::Ready;
        self.say(Answer::Authentication(Authentication::Ok));
        for (name, value) in [
            ("server_version", "15.0"),
            ("server_encoding", "UTF8"),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
            ("integer_datetimes", "on"),
            ("TimeZone", "UTC"),
        ] {
            self.say(Answer::ParameterStatus(ParameterStatus::new(
                name.into(),
                value.into(),
            )));
        }
        // No BackendKeyData: a statement that runs cannot be cancelled.
        self.ready();
        Ok(())
    }

    fn describe(&mut self, columns: &[(String, Type)], formats: &[bool]) {
        if columns.is_empty() {
            return self.say(Answer::NoData(NoData::new()));
        }
        let fields = columns.iter().zip(formats).map(|((name, kind), binary)| {
            FieldDescription::new(name.clone(), 0, 0, kind.oid(), 0, -1, i16::from(*binary))
        });
        self.say(Answer::RowDescription(RowDescription::new(
            fields.collect(),
        )));
    }

    fn row(
        &mut self,
        columns: &[(String, Type)],
        formats: &[bool],
        values: &[Value],
    ) -> Result<(), PgError> {
        let mut data = BytesMut::new();
        for ((value, (_, kind)), binary) in values.iter().zip(columns).zip(formats) {
            match kind.encode(*binary, value)? {
                None => data.put_i32(-1),
                Some(bytes) => {
                    data.put_i32(i32::try_from(bytes.len()).unwrap());
                    data.put_slice(&bytes);
                }
            }
        }
        let count = i16::try_from(values.len()).unwrap();
        self.say(Answer::DataRow(DataRow::new(data, count)));
        Ok(())
    }

    fn complete(&mut self, tag: &str) {
        self.say(Answer::CommandComplete(CommandComplete::new(
            tag.to_owned(),
        )));
    }

    fn ready(&mut self) {
        // Whatever BEGIN has answered, there is no transaction.
        self.say(Answer::ReadyForQuery(ReadyForQuery::new(
            TransactionStatus::Idle,
        )));
    }

    fn refuse(&mut self, error: &PgError) {
        self.say(Answer::ErrorResponse(ErrorResponse::new(vec![
            (b'S', "ERROR".to_owned()),
            (b'C', error.code.to_owned()),
            (b'M', error.message.clone()),
        ])));
    }

    fn say(&mut self, answer: Answer) {
        answer.encode(&mut self.held).unwrap();
    }

    fn flush(&mut self, output: &mut Vec<u8>) {
        output.extend_from_slice(&self.held);
        self.held.clear();
    }
}
