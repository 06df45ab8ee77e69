//! What is looked after while a conversation begins, before tokio-postgres sees it.

use crate::error::{Error, ErrorKind, Result};
use crate::picodata::options::ConnectOptions;

// Tags of messages, and the codes of an authentication request (PostgreSQL's manual, "Message Formats").
const AUTHENTICATION: u8 = b'R';
const BACKEND_KEY_DATA: u8 = b'K';
const AUTH_OK: u32 = 0;
const AUTH_CLEARTEXT: u32 = 3;
const AUTH_MD5: u32 = 5;
const AUTH_SASL: [u32; 3] = [10, 11, 12];

/// How much a server may say while a conversation begins, in bytes: tokio-postgres keeps it. What is no server of this
/// protocol declares more in its first message: in `HTTP/1.1` the length is 1.4 GB.
const MAX_START: usize = 1 << 20;

/// What a server wants to see before it cancels a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) process: [u8; 4],
    pub(crate) secret: [u8; 4],
}

/// The state of a start-up.
pub(crate) struct Starting {
    /// Parameters to be added to the start-up message, which tokio-postgres has no way to set.
    parameters: Vec<(String, String)>,
    has_password: bool,
    allow_cleartext: bool,
    /// The start-up message, the only one without a tag, has been taken.
    begun: bool,
    /// The server has said something of authentication: from then on the user may have proved who it is.
    asked: bool,
    /// How many bytes the server has sent.
    received: usize,
    key: Option<Key>,
}

impl Starting {
    pub(crate) fn new(options: &ConnectOptions, is_encrypted: bool) -> Self {
        Starting {
            parameters: options.startup.clone(),
            has_password: options.password.is_some(),
            allow_cleartext: options.allow_cleartext || is_encrypted,
            begun: false,
            asked: false,
            received: 0,
            key: None,
        }
    }

    /// The key that the server has sent, if it has.
    pub(crate) fn key(self) -> Option<Key> {
        self.key
    }

    /// Whether the server has asked for a proof of who the user is, or has said that it needs none.
    pub(crate) fn has_asked(&self) -> bool {
        self.asked
    }

    /// Makes of the first message the one to be sent; `None` if it has been before.
    pub(crate) fn first_message(&mut self, message: &[u8]) -> Result<Option<Vec<u8>>> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(None);
        }
        with_parameters(message, &self.parameters).map(Some)
    }

    /// Takes in that `len` bytes were received. Fails where they, or the message that is under way, of which `to_come`
    /// bytes are missing, are more than any server begins with.
    pub(crate) fn check_length(&mut self, len: usize, to_come: usize) -> Result<()> {
        self.received += len;
        if self.received > MAX_START {
            return Err(Error::new(
                ErrorKind::Protocol,
                format!(
                    "the server has sent {} bytes, and is not ready yet",
                    self.received
                ),
            ));
        }
        if to_come <= MAX_START {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Protocol,
            format!(
                "the server begins with a message of {to_come} bytes; is it one of PostgreSQL's protocol?"
            ),
        ))
    }

    /// Looks at a message of the server. It fails where the message asks for what may not be given.
    pub(crate) fn received(&mut self, tag: u8, body: &[u8]) -> Result<()> {
        self.asked |= tag == AUTHENTICATION;
        match (tag, body) {
            (AUTHENTICATION, [a, b, c, d, ..]) => check_authentication(
                u32::from_be_bytes([*a, *b, *c, *d]),
                self.has_password,
                self.allow_cleartext,
            ),
            (BACKEND_KEY_DATA, [a, b, c, d, e, f, g, h]) => {
                self.key = Some(Key {
                    process: [*a, *b, *c, *d],
                    secret: [*e, *f, *g, *h],
                });
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Whether a request for authentication is one that may be answered.
fn check_authentication(code: u32, has_password: bool, allow_cleartext: bool) -> Result<()> {
    let fault = match code {
        AUTH_OK => return Ok(()),
        AUTH_CLEARTEXT if has_password && !allow_cleartext => {
            "the server asks for the password in clear text, and the connection is not encrypted: turn \
             tls on, or allow clear text explicitly"
        }
        code if code == AUTH_CLEARTEXT || code == AUTH_MD5 || AUTH_SASL.contains(&code) => {
            if has_password {
                return Ok(());
            }
            "the server asks for a password, and none is configured"
        }
        _ => {
            "the server asks for a way of authentication that is not offered (kerberos, gssapi or sspi); \
             md5, scram-sha-256 and clear text over tls are"
        }
    };
    Err(Error::new(ErrorKind::Authentication, fault))
}

/// The start-up message with further parameters.
fn with_parameters(message: &[u8], parameters: &[(String, String)]) -> Result<Vec<u8>> {
    let broken = || Error::new(ErrorKind::Internal, "the start-up message is cut");
    // Its length, then a version and pairs of strings, ended by a NUL.
    let (length, rest) = message.split_first_chunk::<4>().ok_or_else(broken)?;
    if u32::from_be_bytes(*length) as usize != message.len() || !rest.ends_with(&[0]) {
        return Err(broken());
    }
    let mut out = message.to_vec();
    out.pop();
    for text in parameters
        .iter()
        .flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()])
    {
        out.extend_from_slice(text);
        out.push(0);
    }
    out.push(0);
    let length = u32::try_from(out.len()).map_err(|_| broken())?;
    if let Some(place) = out.first_chunk_mut() {
        *place = length.to_be_bytes();
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_added_to_the_start_up_message() {
        let message = b"\0\0\0\x0e\0\x03\0\0user\0\0";
        let message = [message.as_slice()].concat();
        assert_eq!(message.len(), 14);
        let more = [("a".to_owned(), "bc".to_owned())];
        assert_eq!(
            with_parameters(&message, &more).unwrap(),
            b"\0\0\0\x13\0\x03\0\0user\0a\0bc\0\0"
        );
        assert_eq!(with_parameters(&message, &[]).unwrap(), message);
        for cut in 0..message.len() {
            assert!(with_parameters(&message[..cut], &more).is_err(), "{cut}");
        }
    }

    #[test]
    fn only_a_password_that_is_safe_is_given() {
        for (code, has_password, allow_cleartext, allowed) in [
            (AUTH_OK, false, false, true),
            (AUTH_CLEARTEXT, true, false, false),
            (AUTH_CLEARTEXT, true, true, true),
            (AUTH_CLEARTEXT, false, true, false),
            (AUTH_MD5, true, false, true),
            (AUTH_MD5, false, false, false),
            (10, true, false, true),
            (10, false, false, false),
            (7, true, true, false),
            (2, true, true, false),
        ] {
            let verdict = check_authentication(code, has_password, allow_cleartext);
            assert_eq!(verdict.is_ok(), allowed, "{code} {has_password}");
            if let Err(error) = verdict {
                assert_eq!(error.kind(), ErrorKind::Authentication);
            }
        }
    }
}
