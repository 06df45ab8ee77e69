//! Bytes through a session, and what breaks it.

use std::io::{self, Read, Write};

use crate::error::{Error, ErrorKind, Outcome};
use crate::net::tls::testing::{Authority, Pipe, Server, VERSIONS, Wire, config};
use crate::net::tls::{TlsConfig, TlsMode, TlsRead, TlsSession};

fn connected(versions: &'static [&'static rustls::SupportedProtocolVersion]) -> Wire {
    let ca = Authority::new();
    let identity = ca.server(&["db1"]);
    let server = Server::new(&identity).versions(versions);
    let mut wire = Wire::new(&config(TlsMode::VerifyFull, &ca), "db1", &server);
    wire.greet().unwrap();
    wire
}

fn fresh() -> TlsSession {
    let connector = TlsConfig::new(TlsMode::Require).build().unwrap();
    connector.session("db1").unwrap()
}

fn kind_of(result: io::Result<usize>) -> io::ErrorKind {
    result.unwrap_err().kind()
}

#[test]
fn large_data_goes_both_ways() {
    const SIZE: usize = 1 << 20;
    let data: Vec<u8> = (0..SIZE).map(|place| (place % 251) as u8).collect();
    for versions in VERSIONS {
        let mut wire = connected(versions);
        let mut sent = 0;
        while sent < SIZE {
            sent += wire.client.write_plain(&data[sent..]).unwrap();
            wire.pump().unwrap();
        }
        assert!(wire.arrived == data);

        let (mut sent, mut arrived) = (0, Vec::new());
        while arrived.len() < SIZE {
            sent += wire.server.writer().write(&data[sent..]).unwrap();
            wire.pump().unwrap();
            let mut chunk = vec![0; 1_000];
            let count = wire.client.read_plain(&mut chunk).unwrap();
            arrived.extend_from_slice(&chunk[..count]);
        }
        assert!(arrived == data);
    }
}

#[test]
fn a_full_buffer_takes_nothing_until_it_is_written() {
    let mut wire = connected(VERSIONS[1]);
    let data = vec![7; 1 << 20];
    let mut taken = 0;
    loop {
        match wire.client.write_plain(&data).unwrap() {
            0 => break,
            count => taken += count,
        }
        assert!(taken <= 65_536);
    }
    assert!(taken > 32_768);
    wire.pump().unwrap();
    assert_eq!(wire.arrived.len(), taken);
    assert!(wire.client.write_plain(&data).unwrap() > 0);
}

#[test]
fn text_written_during_the_handshake_arrives_after_it() {
    let ca = Authority::new();
    let identity = ca.server(&["db1"]);
    let mut wire = Wire::new(
        &config(TlsMode::VerifyFull, &ca),
        "db1",
        &Server::new(&identity),
    );
    assert_eq!(wire.client.write_plain(b"early").unwrap(), 5);
    wire.pump().unwrap();
    assert_eq!(wire.arrived, b"early");
}

#[test]
fn unread_text_holds_back_reading_and_is_not_lost() {
    let mut wire = connected(VERSIONS[1]);
    wire.server.writer().write_all(b"pong").unwrap();
    wire.server.write_tls(&mut wire.to_client).unwrap();
    assert!(wire.client.wants_read());
    assert_eq!(
        wire.client.read_tls(&mut wire.to_client).unwrap(),
        TlsRead::Progress
    );
    assert!(!wire.client.wants_read());
    assert_eq!(
        wire.client.read_tls(&mut Pipe::default()).unwrap(),
        TlsRead::Progress
    );
    let mut buffer = [0; 3];
    assert_eq!(wire.client.read_plain(&mut []).unwrap(), 0);
    assert_eq!(wire.client.read_plain(&mut buffer).unwrap(), 3);
    assert_eq!(wire.client.read_plain(&mut buffer).unwrap(), 1);
    assert_eq!(
        kind_of(wire.client.read_plain(&mut buffer)),
        io::ErrorKind::WouldBlock
    );
    assert_eq!(
        wire.client.read_tls(&mut Pipe::default()).unwrap(),
        TlsRead::WouldBlock
    );
}

#[test]
fn a_clean_end_is_told_from_a_truncation() {
    let mut buffer = [0; 16];
    for versions in VERSIONS {
        let mut wire = connected(versions);
        wire.server.writer().write_all(b"last").unwrap();
        wire.server.send_close_notify();
        wire.pump().unwrap();
        assert_eq!(wire.client.read_plain(&mut buffer).unwrap(), 4);
        assert_eq!(wire.client.read_plain(&mut buffer).unwrap(), 0);
        assert_eq!(
            wire.client.read_tls(&mut wire.to_client).unwrap(),
            TlsRead::Eof
        );
        assert!(!wire.client.wants_read());

        let mut wire = connected(versions);
        wire.server.writer().write_all(b"last").unwrap();
        wire.pump().unwrap();
        wire.to_client.closed = true;
        assert_eq!(wire.client.read_plain(&mut buffer).unwrap(), 4);
        for _ in 0..2 {
            assert_eq!(
                wire.client.read_tls(&mut wire.to_client).unwrap(),
                TlsRead::Eof
            );
            assert_eq!(
                kind_of(wire.client.read_plain(&mut buffer)),
                io::ErrorKind::UnexpectedEof
            );
        }
    }
}

#[test]
fn a_record_cut_at_any_place_is_a_truncation() {
    let mut buffer = [0; 16];
    for cut in 0..26 {
        let mut wire = connected(VERSIONS[1]);
        wire.server.writer().write_all(b"last").unwrap();
        wire.server.write_tls(&mut wire.to_client).unwrap();
        assert_eq!(wire.to_client.bytes.len(), 26);
        wire.to_client.bytes.truncate(cut);
        wire.to_client.closed = true;
        while wire.client.read_tls(&mut wire.to_client).unwrap() != TlsRead::Eof {}
        assert_eq!(
            kind_of(wire.client.read_plain(&mut buffer)),
            io::ErrorKind::UnexpectedEof
        );
    }
}

#[test]
fn this_side_ends_cleanly_once() {
    let mut wire = connected(VERSIONS[1]);
    wire.client.send_close_notify();
    wire.client.send_close_notify();
    assert!(wire.client.wants_write());
    let error = wire.client.write_plain(b"late").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    wire.server.writer().write_all(b"rest").unwrap();
    wire.pump().unwrap();
    assert_eq!(wire.server.reader().read(&mut [0; 4]).unwrap(), 0);
    assert_eq!(wire.client.read_plain(&mut [0; 4]).unwrap(), 4);
}

/// What a client that has sent its first message says to `answer`.
fn answered(answer: &[u8]) -> Error {
    let mut client = fresh();
    client.write_tls(&mut io::sink()).unwrap();
    let mut from = Pipe::default();
    from.bytes.extend(answer);
    from.closed = true;
    loop {
        if let Err(error) = client.read_tls(&mut from) {
            return error;
        }
    }
}

#[test]
fn a_peer_without_tls_is_named_so() {
    let answers: [&[u8]; 5] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"E\0\0\0\x1fSFATAL\0C08P01\0Mwhat\0\0",
        b"\x01\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0",
        b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
        &[0xff; 64],
    ];
    for answer in answers {
        let error = answered(answer);
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert!(error.message().contains("does not speak tls"), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[test]
fn any_garbage_is_an_error_and_no_panic() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..2_000 {
        let mut answer: Vec<u8> = (0..random.usize(1..200)).map(|_| random.u8(..)).collect();
        if random.bool() {
            let length = answer.len().max(5) - 5;
            answer.splice(
                ..answer.len().min(5),
                [random.u8(20..25), 3, 3, 0, length as u8],
            );
        }
        let error = answered(&answer);
        assert!(matches!(
            error.kind(),
            ErrorKind::Tls | ErrorKind::Disconnected
        ));
        assert_eq!(error.outcome(), Outcome::NotSent);
    }
}

#[test]
fn a_peer_that_closes_in_the_handshake_may_be_tried_again() {
    let error = answered(b"");
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(error.is_retryable());
    assert!(
        error.message().contains("during the tls handshake"),
        "{error}"
    );
}

#[test]
fn a_damaged_record_is_an_error_with_an_alert_to_send() {
    for versions in VERSIONS {
        let mut wire = connected(versions);
        wire.server.writer().write_all(b"pong").unwrap();
        wire.server.write_tls(&mut wire.to_client).unwrap();
        *wire.to_client.bytes.back_mut().unwrap() ^= 1;
        let error = wire.client.read_tls(&mut wire.to_client).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.message().contains("damaged"), "{error}");
        assert!(wire.client.wants_write());
        assert!(wire.client.read_tls(&mut wire.to_client).is_err());
        wire.pump().unwrap_err();
        assert!(
            matches!(wire.server_error, Some(rustls::Error::AlertReceived(_))),
            "{:?}",
            wire.server_error
        );
    }
}

#[test]
fn the_alert_of_a_refused_certificate_reaches_the_peer() {
    let (ca, other) = (Authority::new(), Authority::new());
    let identity = ca.server(&["db1"]);
    let mut wire = Wire::new(
        &config(TlsMode::VerifyCa, &other),
        "db1",
        &Server::new(&identity),
    );
    wire.pump().unwrap_err();
    assert!(
        matches!(wire.server_error, Some(rustls::Error::AlertReceived(_))),
        "{:?}",
        wire.server_error
    );
}

/// Gives one error and then the bytes behind it.
struct Faulty(Option<io::ErrorKind>, Pipe);

impl Read for Faulty {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.take() {
            Some(kind) => Err(kind.into()),
            None => self.1.read(buffer),
        }
    }
}

impl Write for Faulty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.take() {
            Some(kind) => Err(kind.into()),
            None => self.1.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn socket_errors_come_through_and_interruptions_do_not() {
    let faulty = |kind| Faulty(Some(kind), Pipe::default());
    let mut client = fresh();
    assert_eq!(
        kind_of(client.write_tls(&mut faulty(io::ErrorKind::WouldBlock))),
        io::ErrorKind::WouldBlock
    );
    assert!(client.wants_write());
    assert!(
        client
            .write_tls(&mut faulty(io::ErrorKind::Interrupted))
            .unwrap()
            > 0
    );
    assert!(!client.wants_write());

    let mut interrupted = faulty(io::ErrorKind::Interrupted);
    assert_eq!(
        client.read_tls(&mut interrupted).unwrap(),
        TlsRead::WouldBlock
    );
    let error = client
        .read_tls(&mut faulty(io::ErrorKind::ConnectionReset))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(
        error.message().contains("during the tls handshake"),
        "{error}"
    );
}
