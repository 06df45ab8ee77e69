//! Who may connect, and how they prove it: MD5, SCRAM-SHA-256, or a password in the clear.

use std::collections::HashMap;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac, pbkdf2};

use super::error::PgError;

/// More failures than this, and the user is blocked.
const FAILURES: u64 = 4;

const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Md5,
    Scram,
    /// LDAP, to a client: the password is sent in the clear.
    Cleartext,
}

#[derive(Debug, Clone)]
pub struct User {
    pub password: String,
    pub method: Method,
    /// May read every table.
    pub privileged: bool,
    /// How often it has failed to prove who it is, since it last did.
    pub failures: u64,
}

impl User {
    pub fn new(password: &str, method: Method) -> User {
        User {
            password: password.to_owned(),
            method,
            privileged: false,
            failures: 0,
        }
    }

    pub fn is_blocked(&self) -> bool {
        self.failures > FAILURES
    }
}

/// The users of the cluster. A failure on any instance counts.
#[derive(Default)]
pub struct Users(HashMap<String, User>);

impl Users {
    pub fn put(&mut self, name: &str, user: User) {
        self.0.insert(name.to_owned(), user);
    }

    pub fn get(&self, name: &str) -> Option<&User> {
        self.0.get(name)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut User> {
        self.0.get_mut(name)
    }

    /// Notes how an attempt has ended; a blocked user fails with the right password too.
    pub fn finish(&mut self, name: &str, proven: bool) -> Result<(), PgError> {
        let refusal = PgError::new("28P01", format!("authentication failed for user '{name}'"));
        let user = self.0.get_mut(name).ok_or_else(|| refusal.clone())?;
        if proven && !user.is_blocked() {
            user.failures = 0;
            return Ok(());
        }
        user.failures += 1;
        Err(refusal)
    }
}

/// `md5` and the digest of the digest of password and name, with the salt.
pub fn md5_answer(user: &str, password: &str, salt: [u8; 4]) -> String {
    let inner = format!("{:x}", md5::compute(format!("{password}{user}")));
    format!("md5{:x}", md5::compute([inner.as_bytes(), &salt].concat()))
}

/// The exchange of SCRAM after the client's first message.
#[derive(Debug)]
pub struct Scram {
    /// The client's first message without its header, and the server's.
    messages: String,
    header: String,
    nonce: String,
    salted: [u8; 32],
}

impl Scram {
    /// Reads the client's first message and answers the server's. `None` if it is not understood.
    pub fn begin(first: &[u8], password: &str) -> Option<(Scram, String)> {
        let first = str::from_utf8(first).ok()?;
        let bare = first
            .strip_prefix("n,,")
            .or_else(|| first.strip_prefix("y,,"))?;
        let nonce = bare.split(',').find_map(|part| part.strip_prefix("r="))?;
        let nonce = format!("{nonce}{:016x}", fastrand::u64(..));
        let salt: [u8; 16] = std::array::from_fn(|_| fastrand::u8(..));
        let mut salted = [0; 32];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            ITERATIONS,
            &salt,
            password.as_bytes(),
            &mut salted,
        );
        let answer = format!("r={nonce},s={},i={ITERATIONS}", BASE64.encode(salt));
        let scram = Scram {
            messages: format!("{bare},{answer}"),
            header: BASE64.encode(&first[..3]),
            nonce,
            salted,
        };
        Some((scram, answer))
    }

    /// Checks the client's proof and answers the server's.
    pub fn finish(&self, last: &[u8]) -> Option<String> {
        let last = str::from_utf8(last).ok()?;
        let (unproven, proof) = last.rsplit_once(",p=")?;
        if unproven != format!("c={},r={}", self.header, self.nonce) {
            return None;
        }
        let whole = format!("{},{unproven}", self.messages);
        let client_key = sign(&self.salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, client_key.as_ref());
        let signature = sign(stored.as_ref(), whole.as_bytes());
        let proof = BASE64.decode(proof).ok()?;
        let bytes = client_key.as_ref().iter().zip(signature.as_ref());
        let expected: Vec<u8> = bytes.map(|(key, signed)| key ^ signed).collect();
        let server_key = sign(&self.salted, b"Server Key");
        let verifier = sign(server_key.as_ref(), whole.as_bytes());
        (proof == expected).then(|| format!("v={}", BASE64.encode(verifier.as_ref())))
    }
}

fn sign(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}
