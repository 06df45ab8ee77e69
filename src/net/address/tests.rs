use std::collections::HashSet;

use super::*;

fn parse(text: &str) -> Result<Address> {
    Address::parse(text, None)
}

#[test]
fn each_form_is_read_and_written_back() {
    // text, what it is written as, host, port
    let table = [
        (
            "10.0.0.1:9001",
            "10.0.0.1:9001",
            Some("10.0.0.1"),
            Some(9001),
        ),
        ("[::1]:9001", "[::1]:9001", Some("::1"), Some(9001)),
        ("[0:0::0001]:1", "[::1]:1", Some("::1"), Some(1)),
        (
            "[fe80::1%eth0]:5",
            "[fe80::1%eth0]:5",
            Some("fe80::1%eth0"),
            Some(5),
        ),
        (
            "[::ffff:1.2.3.4]:5",
            "[::ffff:1.2.3.4]:5",
            Some("::ffff:1.2.3.4"),
            Some(5),
        ),
        (
            "Db_1.Example:65535",
            "db_1.example:65535",
            Some("db_1.example"),
            Some(65535),
        ),
        (
            "db1.example.:080",
            "db1.example.:80",
            Some("db1.example."),
            Some(80),
        ),
        ("unix:80", "unix:80", Some("unix"), Some(80)),
        ("/run/a b:c@d.sock", "/run/a b:c@d.sock", None, None),
        ("unix:/run/db.sock", "/run/db.sock", None, None),
        ("@dqlite-1", "@dqlite-1", None, None),
        ("@/a@b:c", "@/a@b:c", None, None),
    ];
    for (text, written, host, port) in table {
        let address = parse(text).unwrap();
        assert_eq!(address.to_string(), written, "{text}");
        assert_eq!(parse(written).unwrap(), address, "{text}");
        assert_eq!((address.host(), address.port()), (host, port), "{text}");
    }
}

#[test]
fn the_default_port_stands_in_where_none_is_written() {
    for (text, written) in [
        ("db1", "db1:5432"),
        ("[::1]", "[::1]:5432"),
        ("db1:6432", "db1:6432"),
        ("@db1", "@db1"),
    ] {
        let address = Address::parse(text, Some(5432)).unwrap();
        assert_eq!(address.to_string(), written);
    }
}

#[test]
fn mistakes_are_named() {
    let long = format!("/{}", "x".repeat(107));
    let table = [
        ("", "is empty"),
        ("db1", "no port: write `db1:<port>`"),
        ("db1:", "the port ``"),
        ("db1:0", "the port `0`"),
        ("db1:65536", "1 to 65535"),
        ("db1:+80", "the port `+80`"),
        ("db1:80 ", "the port `80 `"),
        (":9001", "no host"),
        ("::1:9001", "as in `[::1]:9001`"),
        ("::1", "as in `[::1]:<port>`"),
        ("a:b:c", "several colons"),
        ("[::1", "lacks the `]`"),
        ("[::1]9001", "behind the `]`"),
        ("[db1]:9001", "not an ipv6 address"),
        ("[]:9001", "not an ipv6 address"),
        ("[::1%]:9001", "zone"),
        ("[::1%a b]:9001", "zone"),
        ("db 1:9001", "the character ' '"),
        ("bücher:9001", "punycode"),
        ("a..b:9001", "between dots"),
        (".:9001", "between dots"),
        ("256.0.0.1:9001", "not an ipv4 address"),
        ("127.1:9001", "not an ipv4 address"),
        ("a\0b:1", "nul"),
        ("/run/a\0b", "nul"),
        ("@", "no name"),
        (&long, "108 bytes long, and the system allows 107"),
        ("unix:db.sock", "the port `db.sock`"),
    ];
    for (text, part) in table {
        let error = parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains(part), "{text:?}: {error}");
    }
    let error = Address::tcp("db1", 0).unwrap_err();
    assert!(error.message().contains("port 0"), "{error}");
    let label = format!("{}:1", "x".repeat(64));
    assert!(parse(&label).is_err());
    let name = format!("{}:1", ["x".repeat(50).as_str(); 5].join("."));
    assert!(parse(&name).unwrap_err().message().contains("253"));
}

#[test]
fn the_longest_unix_addresses_are_accepted() {
    for first in ["/", "@"] {
        let limit = if first == "/" { 106 } else { 107 };
        let text = |length| format!("{first}{}", "x".repeat(length));
        assert!(parse(&text(limit)).is_ok());
        assert!(parse(&text(limit + 1)).is_err());
    }
}

#[test]
fn errors_do_not_repeat_what_may_be_a_password() {
    for text in [
        "dqlite://app:s3cret@db1:9001",
        "app:s3cret@db1:9001",
        "s3cret@db1",
    ] {
        let error = parse(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
}

#[test]
fn equality_follows_the_written_form() {
    let set: HashSet<_> = [
        "DB1:1",
        "db1:1",
        "[::0]:1",
        "[::]:1",
        "127.0.0.1:1",
        "localhost:1",
    ]
    .map(|text| parse(text).unwrap())
    .into();
    assert_eq!(set.len(), 4);
}

#[test]
fn socket_addresses_become_addresses() {
    for text in ["10.0.0.1:9001", "[::1]:9001", "[fe80::1%3]:9001"] {
        let socket: SocketAddr = text.parse().unwrap();
        assert_eq!(Address::try_from(socket).unwrap().to_string(), text);
    }
    let unbound: SocketAddr = "0.0.0.0:0".parse().unwrap();
    assert!(Address::try_from(unbound).is_err());
}

#[test]
fn any_text_is_refused_or_round_trips() {
    const PIECES: [&str; 18] = [
        "a", "B", "1", "::", ":", ".", "[", "]", "%", "@", "/", "unix:", "-", "_", " ", "é", "\0",
        "9001",
    ];
    let mut random = fastrand::Rng::with_seed(1);
    let mut read = 0;
    for _ in 0..20_000 {
        let text: String = (0..random.usize(0..8))
            .map(|_| PIECES[random.usize(..PIECES.len())])
            .collect();
        let default_port = random.bool().then_some(1);
        if let Ok(address) = Address::parse(&text, default_port) {
            read += 1;
            assert_eq!(parse(&address.to_string()).unwrap(), address, "{text:?}");
        }
    }
    assert!(read > 100, "{read}");
}
