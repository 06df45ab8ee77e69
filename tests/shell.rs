//! The program `quorate sql` with one dqlite node: how statements are cut, how results and errors are written.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use common::TempDir;
use common::cluster::Cluster;
use common::shell::{Shell, pipe, program, run};

/// A node, and the connection string of a database on it.
fn node() -> (Cluster, String) {
    let cluster = Cluster::start(1);
    let url = format!("dqlite://{}/app", cluster.address(0));
    (cluster, url)
}

const ROWS: &str = "create table t (id integer primary key, name text, data blob, real real);
    insert into t values (1, 'a;b', x'00ff', 1.5); -- ; not here
    insert into t values
        (2, null, null, null), (3, '', x'', 1e300), (4, 'say \"ю\"
and' || char(27) || '[31m', null, -0.5);";

/// The numbers from 1 on, two columns wide.
fn numbers(count: u32) -> String {
    format!(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < {count}) \
         select i, i * 2 as twice from n"
    )
}

#[test]
fn every_format_writes_the_same_rows_its_way() {
    let (_cluster, url) = node();
    assert_eq!(pipe(&[&url], ROWS).good(), "");
    let select = "select * from t";
    let csv = "id,name,data,real\r\n1,a;b,x'00ff',1.5\r\n2,,,\r\n3,\"\",x'',1e300\r\n\
               4,\"say \"\"ю\"\"\nand\u{1b}[31m\",,-0.5\r\n";
    assert_eq!(run(&[&url, select]).good(), csv);
    let bare = csv.split_once("\r\n").unwrap().1;
    assert_eq!(run(&["--no-header", &url, select]).good(), bare);
    assert_eq!(
        run(&[&url, "--format", "json", select]).good(),
        "{\"id\":1,\"name\":\"a;b\",\"data\":\"00ff\",\"real\":1.5}\n\
         {\"id\":2,\"name\":null,\"data\":null,\"real\":null}\n\
         {\"id\":3,\"name\":\"\",\"data\":\"\",\"real\":1e300}\n\
         {\"id\":4,\"name\":\"say \\\"ю\\\"\\nand\\u001b[31m\",\"data\":null,\"real\":-0.5}\n"
    );
    assert_eq!(
        run(&["--format=list", &url, select]).good(),
        "id|name|data|real\n1|a;b|x'00ff'|1.5\n2|NULL|NULL|NULL\n3||x''|1e300\n\
         4|say \"ю\"\\nand\\x1b[31m|NULL|-0.5\n"
    );
    let table = "\u{20}id | name                 | data    | real
----+----------------------+---------+-------
  1 | a;b                  | x'00ff' |   1.5
  2 | NULL                 | NULL    |  NULL
  3 |                      | x''     | 1e300
  4 | say \"ю\"\\nand\\x1b[31m | NULL    |  -0.5
(4 rows)
";
    let found = run(&["--format", "table", &url, select]).good();
    let left = found.replace("| NULL\n", "|  NULL\n");
    assert_eq!(left, table, "{found}");
    assert_eq!(
        run(&[
            "--format",
            "table",
            &url,
            "update t set name = 'x' where id < 3; create table e (a); select * from e"
        ])
        .good(),
        "ok, 2 rows\nok\n a\n---\n(0 rows)\n"
    );
}

#[test]
fn texts_are_cut_by_the_databases_own_rules() {
    let (_cluster, url) = node();
    let trigger = "create table t (a); create table log (a);
        create trigger r after insert on t begin insert into log values (new.a); select ';'; end;
        insert into t values (';/*'); select a from log; /* ; */ select 'last' as a";
    assert_eq!(pipe(&[&url], trigger).good(), "a\r\n;/*\r\na\r\nlast\r\n");
    // A transaction may reach over the arguments.
    let split = [
        "begin",
        "insert into t values (1); commit",
        "select count(*) from t",
    ];
    let arguments: Vec<_> = [url.as_str(), "--no-header"]
        .into_iter()
        .chain(split)
        .collect();
    assert_eq!(run(&arguments).good(), "2\r\n");
}

#[test]
fn the_first_error_ends_a_run_unless_it_is_told_to_go_on() {
    let (_cluster, url) = node();
    let text = "create table t (id integer primary key);
        insert into t values (1);
        select 'one';
        insert into t
        values (1);
        .nonsense
        select 'two';";
    let ended = pipe(&[&url, "--no-header"], text);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.out, "one\r\n");
    let node = url.split('/').nth(2).unwrap();
    assert_eq!(
        ended.err,
        format!(
            "quorate: line 4: UNIQUE constraint failed: t.id\n  kind: constraint failed\n  \
             outcome: rejected: the server did not apply it\n  code: 1555\n  node: {node}\n"
        )
    );
    let ended = pipe(&[&url, "--no-header", "--keep-going"], &text[40..]);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.out, "one\r\ntwo\r\n");
    let errors: Vec<_> = ended
        .err
        .lines()
        .filter(|line| line.starts_with('q'))
        .collect();
    assert_eq!(errors.len(), 3, "{}", ended.err);
    assert!(
        errors[2].contains("unknown command .nonsense"),
        "{errors:?}"
    );
}

#[test]
fn wrong_arguments_have_a_status_of_their_own_and_no_password_is_shown() {
    for (arguments, part) in [
        (&[][..], "the connection string is missing"),
        (&["dqlite://127.0.0.1:1/app?timeot=1s"], "timeout"),
        (
            &["--format", "xml", "dqlite://127.0.0.1:1/app"],
            "table, csv, json and list",
        ),
        (
            &["--keepgoing", "dqlite://127.0.0.1:1/app"],
            "did you mean --keep-going?",
        ),
        (
            &["--timeout", "soon", "dqlite://127.0.0.1:1/app"],
            "--timeout",
        ),
        (
            &["postgres://app:T0psecret@127.0.0.1:x/app", "select 1"],
            "",
        ),
        (
            &["postgres://app:T0psecret@127.0.0.1/app?pasword=T0psecret"],
            "",
        ),
    ] {
        let ended = run(arguments);
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        assert!(ended.err.contains(part), "{ended:?}");
        assert!(!ended.err.contains("T0psecret"), "{ended:?}");
        assert_eq!(ended.out, "");
    }
    let ended = run(&[
        "--timeout",
        "300ms",
        "postgres://app:T0psecret@127.0.0.1:1/app",
        "select 1",
    ]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.err.contains("outcome: not sent"), "{ended:?}");
    assert!(!ended.err.contains("T0psecret"), "{ended:?}");
}

#[test]
fn results_are_written_before_the_input_ends() {
    let (_cluster, url) = node();
    let mut shell = Shell::start(&[&url, "--format", "list", "--no-header"]);
    shell.say("select 'one'; select");
    shell.expect("one\n");
    shell.say(" 'two'; .timeout 250ms\n.timeout\n");
    shell.expect("two\n");
    shell.expect("250ms\n");
    shell.say("begin; create table t (a)");
    let ended = shell.end();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(ended.err, "note: the open transaction is rolled back\n");
    assert_eq!(run(&[&url, "--no-header", ".tables"]).good(), "");

    // The release of the outermost savepoint commits.
    run(&[&url, "savepoint x; create table u (a); release x"]).good();
    assert_eq!(run(&[&url, "--no-header", ".tables"]).good(), "u\r\n");

    let ended = pipe(&[&url], "select 1; .exit\nselect 2;");
    assert_eq!(ended.good(), "1\r\n1\r\n");
    let mut shell = Shell::start(&[&url, "--no-header"]);
    shell.say("select 1;\nselect 2");
    shell.expect("1\r\n");
    let ended = shell.end();
    assert_eq!(ended.out, "2\r\n");
}

#[test]
fn a_million_rows_need_little_memory() {
    let (_cluster, url) = node();
    for format in ["table", "csv", "json", "list"] {
        let mut child = program()
            .args(["--format", format, &url, &numbers(1_000_000)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut count = 0;
        for line in lines.by_ref().take(950_000) {
            count += usize::from(line.unwrap().contains('2'));
        }
        assert!(count > 400_000, "{count}");
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak: u64 = peak
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        assert!(peak < 64 * 1024, "{format}: {peak} kB");
        let rest = lines.map(|line| line.unwrap()).collect::<Vec<_>>();
        assert!(rest.iter().any(|line| line.contains("2000000")), "{format}");
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_run_without_a_word() {
    let (_cluster, url) = node();
    for format in ["table", "csv", "json", "list"] {
        let mut child = program()
            .args(["--format", format, &url, &numbers(1_000_000)])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        reader.read_line(&mut line).unwrap();
        drop(reader);
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
        assert_eq!(output.status.code(), Some(1), "{format}");
    }
}

#[test]
fn a_dump_is_a_database_and_overwrites_nothing() {
    let (_cluster, url) = node();
    let directory = TempDir::new();
    let file = directory.path().join("copy.db");
    let file = file.to_str().unwrap();
    let dump = format!(".dump {file}");
    run(&[&url, "create table t (a); insert into t values (42)", &dump]).good();
    let copy = rusqlite::Connection::open(file).unwrap();
    let a: i64 = copy
        .query_row("select a from t", (), |row| row.get(0))
        .unwrap();
    assert_eq!(a, 42);
    let ended = run(&[&url, &dump]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.err.contains("File exists"), "{ended:?}");
}

#[test]
fn a_text_that_is_not_utf8_is_shown_as_its_bytes() {
    let (_cluster, url) = node();
    let select = "select cast(x'ff61' as text) as a, 1 as b";
    assert_eq!(run(&[&url, select]).good(), "a,b\r\nx'ff61',1\r\n");
}
