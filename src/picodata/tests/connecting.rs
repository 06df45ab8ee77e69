use super::*;
use crate::error::{ErrorKind, Outcome};
use crate::net::socket::Idle;
use crate::net::tls::{TlsConfig, TlsMode};
use crate::picodata::encryption::Encryption;
use basic::{loopback, wait_for};

pub(super) fn user(name: &str, password: &str) -> ConnectOptions {
    let mut options = options();
    options.user = name.to_owned();
    options.password = Some(password.to_owned());
    options.database = Some("postgres".to_owned());
    options
}

fn encryption(mode: TlsMode) -> Encryption {
    Encryption::new(&TlsConfig::new(mode)).unwrap()
}

fn kind(result: Result<Testing>) -> ErrorKind {
    let error = result.err().unwrap();
    assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
    assert!(!format!("{error:?}").contains(PASSWORD), "{error:?}");
    error.kind()
}

#[test]
fn every_way_of_authentication() {
    let cluster = shared();
    for name in ["by_md5", "by_scram"] {
        let mut session = open_with(&cluster, user(name, PASSWORD)).unwrap();
        assert_eq!(
            session.value("SELECT current_user::text", ()).unwrap(),
            Value::Text(name.to_owned())
        );
    }

    // A password is not given away, but on demand or when nobody listens.
    let error = open_with(&cluster, user("in_clear", PASSWORD))
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.message().contains("clear text"), "{error}");
    let mut allowed = user("in_clear", PASSWORD);
    allowed.allow_cleartext = true;
    open_with(&cluster, allowed).unwrap().check();
    let mut encrypted = user("in_clear", PASSWORD);
    encrypted.encryption = encryption(TlsMode::Require);
    open_with(&cluster, encrypted).unwrap().check();

    let mut without = user("by_scram", "");
    without.password = None;
    let error = open_with(&cluster, without).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.message().contains("none is configured"), "{error}");
}

#[test]
fn a_wrong_password_is_tried_once() {
    let cluster = PostgresCluster::start(
        &PostgresOptions::new()
            .user("by_md5", PASSWORD, Auth::Md5)
            .user("by_scram", PASSWORD, Auth::Scram),
    );
    for name in ["by_md5", "by_scram"] {
        let error = open_with(&cluster, user(name, "wrong")).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert_eq!(error.sqlstate(), Some("28P01"));
        assert_eq!(error.outcome(), Outcome::NotSent);
        let told = format!("password authentication failed for user \"{name}\"");
        wait_for("the failure in the log", postgres::DEADLINE, || {
            cluster.log().contains(&told).then_some(())
        });
        assert_eq!(cluster.log().matches(&told).count(), 1);
    }
}

#[test]
fn tls_verifies_what_it_is_told_to() {
    let cluster = shared();
    let with = |mode, ca: bool| {
        let mut config = TlsConfig::new(mode);
        if ca {
            config.ca_file(cluster.ca_file());
        }
        let mut options = user("by_scram", PASSWORD);
        options.encryption = Encryption::new(&config).unwrap();
        options
    };
    let mut session = open_with(&cluster, with(TlsMode::VerifyFull, true)).unwrap();
    assert_eq!(
        session
            .value(
                "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
                ()
            )
            .unwrap(),
        Value::Bool(true)
    );
    // Large both ways, so that records are cut and buffers fill.
    let text = "x".repeat(3_000_000);
    assert_eq!(
        session.value("SELECT $1::text", (text.as_str(),)).unwrap(),
        Value::Text(text)
    );
    assert_eq!(session.0.idle(), Idle::Ready);
    open_with(&cluster, with(TlsMode::Require, false))
        .unwrap()
        .check();

    let other = PostgresCluster::start(&PostgresOptions::new().tls());
    let mut wrong = with(TlsMode::VerifyCa, true);
    wrong.user = "postgres".to_owned();
    assert_eq!(kind(open_with(&other, wrong)), ErrorKind::Tls);
}

#[test]
fn each_sslmode_meets_a_server_as_it_should() {
    let with = |cluster: &PostgresCluster, mode, name: &str, client: Option<&PostgresCluster>| {
        let mut options = user("by_scram", PASSWORD);
        if mode != TlsMode::Disable {
            let mut config = TlsConfig::new(mode);
            config.server_name(name);
            if mode != TlsMode::Require {
                config.ca_file(cluster.ca_file());
            }
            if let Some(owner) = client {
                let [cert, key] = owner.client_files();
                config.client_cert_file(cert).client_key_file(key);
            }
            options.encryption = Encryption::new(&config).unwrap();
        }
        open_with(cluster, options).map(|mut session| session.check())
    };
    let start = |options: PostgresOptions| {
        PostgresCluster::start(&options.user("by_scram", PASSWORD, Auth::Scram))
    };
    let good = start(PostgresOptions::new().tls());
    let expired = start(PostgresOptions::new().expired_tls());
    let strict = start(PostgresOptions::new().tls_for_clients_of_ca());
    let plain = start(PostgresOptions::new());
    use TlsMode::{Disable, Require, VerifyCa, VerifyFull};
    for (cluster, mode, name, client, expected) in [
        (&good, Disable, "", None, None),
        (&good, Require, "nobody.example", None, None),
        (&good, VerifyCa, "nobody.example", None, None),
        (&good, VerifyFull, "localhost", None, None),
        (
            &good,
            VerifyFull,
            "nobody.example",
            None,
            Some("nobody.example"),
        ),
        (&expired, Require, "localhost", None, None),
        (&expired, VerifyCa, "localhost", None, Some("expired")),
        (&expired, VerifyFull, "localhost", None, Some("expired")),
        (&strict, VerifyFull, "localhost", Some(&strict), None),
        (&strict, VerifyFull, "localhost", Some(&good), Some("")),
        (&strict, VerifyFull, "localhost", None, Some("certificate")),
        (&strict, Disable, "", None, Some("")),
        (&plain, Disable, "", None, None),
    ] {
        let what = format!("{mode} for {name:?}, client {}", client.is_some());
        match (with(cluster, mode, name, client), expected) {
            (Ok(()), None) => {}
            (Err(error), Some(part)) => {
                println!("{what}: {error}");
                let kinds = [ErrorKind::Tls, ErrorKind::Authentication];
                assert!(kinds.contains(&error.kind()), "{what}: {error:?}");
                assert_eq!(error.outcome(), Outcome::NotSent);
                assert!(error.message().contains(part), "{what}: {error}");
            }
            (result, _) => panic!("{what}: {result:?}"),
        }
    }
}

#[test]
fn what_cannot_be_reached_or_is_not_there() {
    let refused = Arc::new(options());
    let nobody = format!("{}:5432", loopback());
    let error = connect(&nobody, &refused, &seconds(5)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Connect);

    let cluster = PostgresCluster::start(
        &PostgresOptions::new()
            .setting("max_connections", "2")
            .setting("superuser_reserved_connections", "0")
            .setting("max_wal_senders", "0"),
    );
    let mut unknown = options();
    unknown.database = Some("nowhere".to_owned());
    let error = open_with(&cluster, unknown).err().unwrap();
    assert_eq!(
        (error.kind(), error.sqlstate()),
        (ErrorKind::Database, Some("3D000"))
    );

    let mut encrypted = options();
    encrypted.encryption = encryption(TlsMode::Require);
    let error = open_with(&cluster, encrypted).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.message().contains("offers no tls"), "{error}");

    // Those that were refused are counted until their processes have ended.
    let _held = [(); 2].map(|()| {
        wait_for("a connection", Duration::from_secs(10), || {
            open_with(&cluster, options()).ok()
        })
    });
    let error = open_with(&cluster, options()).err().unwrap();
    assert_eq!(
        (error.kind(), error.sqlstate()),
        (ErrorKind::Connect, Some("53300"))
    );
}

#[test]
fn a_server_that_does_not_answer_is_left_in_time() {
    let listener = std::net::TcpListener::bind((loopback(), 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut quick = options();
    quick.connect_timeout = Duration::from_millis(50);
    let error = connect(&address, &Arc::new(quick), &seconds(20))
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Connect);
    let call = Call::until(Deadline::after(Duration::from_millis(50)));
    let error = connect(&address, &Arc::new(options()), &call)
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[test]
fn start_up_parameters_arrive() {
    let cluster = shared();
    let mut options = options();
    options.application_name = Some("tests".to_owned());
    options.options = Some("-c work_mem=321kB".to_owned());
    options.startup = vec![
        ("extra_float_digits".to_owned(), "2".to_owned()),
        ("quorate.mark".to_owned(), "x y".to_owned()),
    ];
    let mut session = open_with(&cluster, options).unwrap();
    for (name, expected) in [
        ("application_name", "tests"),
        ("work_mem", "321kB"),
        ("extra_float_digits", "2"),
        ("quorate.mark", "x y"),
    ] {
        assert_eq!(
            session
                .value("SELECT current_setting($1)", (name,))
                .unwrap(),
            Value::Text(expected.to_owned())
        );
    }
}

#[test]
fn it_works_inside_a_runtime() {
    let cluster = shared();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut session = open(&cluster);
        session.check();
        let rows = session
            .query("SELECT generate_series(1, 10000)", ())
            .unwrap();
        assert_eq!(rows.len(), 10_000);
    });
}
