//! The program `quorate sql` with clusters: a dqlite leader that dies between statements, the administration of a
//! cluster, Picodata's instances, PostgreSQL.

mod common;

use common::cluster::Cluster;
use common::picodata::{PASSWORD, PicodataCluster};
use common::postgres::{Auth, PostgresCluster, PostgresOptions};
use common::shell::{Shell, pipe, run};
use common::wait_for;

fn url(cluster: &Cluster) -> String {
    format!("dqlite://{}/app", cluster.addresses().join(","))
}

#[test]
fn the_shell_follows_the_leader_and_tells_of_a_lost_transaction() {
    let mut cluster = Cluster::start(3);
    let url = url(&cluster);
    let mut shell = Shell::start(&[&url, "--keep-going", "--no-header"]);
    shell.say("create table t (a); insert into t values (1); select 'one';\n");
    shell.expect("one\r\n");
    let first = cluster.leader();
    cluster.kill(first);
    shell.say("insert into t values (2); select 'two';\n");
    shell.expect("two\r\n");
    let moved = format!("no longer to {}\n", cluster.address(first));
    shell.expect_error(&moved);
    cluster.restart(first);

    shell.say("begin; insert into t values (3); select 'three';\n");
    shell.expect("three\r\n");
    let second = cluster.leader();
    cluster.kill(second);
    shell.say("insert into t values (4); commit; insert into t values (5);\n");
    shell.expect_error("outcome: ");
    shell.expect_error("note: the open transaction is lost with its connection");
    shell.expect_error("roll it back before anything else");
    shell.expect_error("note: the lost transaction has ended with this error");
    shell.say("select group_concat(a) from (select a from t order by a);\n");
    shell.expect("\"1,2,5\"\r\n");
    assert_eq!(shell.end().status.code(), Some(1));
}

#[test]
fn a_cluster_is_administered_with_commands() {
    let mut cluster = Cluster::start(2);
    let url = url(&cluster);
    let list = |commands: &[&str]| {
        let mut arguments = vec!["--format", "list", "--no-header", &url];
        arguments.extend(commands);
        run(&arguments).good()
    };
    let (one, two) = (cluster.address(0).to_owned(), cluster.address(1).to_owned());
    assert_eq!(
        list(&[".leader", ".cluster"]),
        format!("{one}\n1|{one}|voter|true\n2|{two}|voter|false\n")
    );
    let third = cluster.add();
    let three = cluster.address(third).to_owned();
    assert_eq!(list(&[&format!(".add 3 {three}")]), "");
    assert!(list(&[".cluster"]).contains(&format!("3|{three}|spare|false\n")));
    list(&[".assign 3 stand-by", ".weight 3 7"]);
    assert_eq!(list(&[".describe 3"]), format!("{three}|0|7\n"));
    assert!(list(&[".cluster"]).contains(&format!("3|{three}|stand-by|false\n")));
    list(&[&format!(".assign {three} voter"), ".transfer 3"]);
    wait_for("the third node leads", common::shell::DEADLINE, || {
        (cluster.leader_now() == Some(third)).then_some(())
    });
    assert_eq!(list(&[".leader"]), format!("{three}\n"));
    list(&[".transfer 1", ".remove 3"]);
    assert_eq!(list(&[".cluster"]).lines().count(), 2);

    for (command, part) in [
        (".remove 9", "the cluster has no node \"9\""),
        (".assign 2 king", "the roles are voter, stand-by and spare"),
        (".weight 2", "usage: .weight NODE NUMBER"),
        (".clustr", "did you mean .cluster?"),
        (".add x y", "bad id \"x\""),
    ] {
        let ended = run(&[&url, command]);
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.err.contains(part), "{ended:?}");
    }
}

#[test]
fn picodatas_instances_are_shown_and_dqlites_commands_refused() {
    let cluster = PicodataCluster::start(3);
    let url = cluster.url(0);
    let listed = run(&[&url, "--format", "list", "--no-header", ".cluster"]).good();
    assert_eq!(listed.lines().count(), 3, "{listed}");
    for address in cluster.addresses() {
        assert!(
            listed.contains(&format!("|{address}|Online|master|")),
            "{listed}"
        );
    }
    assert_eq!(listed.matches("|true|").count(), 1, "{listed}");
    let leader = cluster.address(cluster.leader().unwrap());
    assert_eq!(
        run(&[&url, "--no-header", ".leader"]).good(),
        format!("{leader}\r\n")
    );
    for command in [
        ".add 4 x:1",
        ".remove 1",
        ".assign 1 voter",
        ".transfer",
        ".describe 1",
    ] {
        let ended = run(&[&url, command]);
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(ended.err.contains("for a dqlite cluster"), "{ended:?}");
    }
    let text = "create table item (id integer not null, name text, primary key (id)); -- ;
        insert into item values (1, 'a;b'); .tables\nselect id, name from item;";
    let out = pipe(&[&url, "--format", "list", "--no-header"], text).good();
    assert_eq!(out, "item\n1|a;b\n");
    let ended = run(&[&url, "begin"]);
    assert!(ended.err.contains("kind: unsupported"), "{ended:?}");
    assert!(!ended.err.contains(PASSWORD));
    let stats = run(&[&url, "--format", "json", "select 1 as a", ".stats"]).good();
    assert!(
        stats.contains("{\"name\":\"instances\",\"value\":\"3\"}"),
        "{stats}"
    );
}

#[test]
fn postgresql_shows_details_and_keeps_a_transaction() {
    let options = PostgresOptions::new().user("app", "T0psecret", Auth::Scram);
    let cluster = PostgresCluster::start(&options);
    let url = format!("postgres://app:T0psecret@{}/postgres", cluster.address());
    let text = "begin; create table t (id int primary key, j json, n numeric, d timestamptz);
        insert into t values (1, '{\"a\":\n1}', 1.50, '2024-02-29 12:00:00+00'), (2, null, 'NaN', null);
        commit; do $$ begin perform 1; end $$; select * from t; show application_name;";
    assert_eq!(
        pipe(&[&url, "--format", "json"], text).good(),
        "{\"id\":1,\"j\":{\"a\": 1},\"n\":1.50,\"d\":\"2024-02-29T12:00:00Z\"}\n\
         {\"id\":2,\"j\":null,\"n\":\"NaN\",\"d\":null}\n{\"application_name\":\"\"}\n"
    );
    let ended = run(&[
        &url,
        "--keep-going",
        "insert into t values (1)",
        "select from nowhere",
    ]);
    assert_eq!(ended.status.code(), Some(1));
    for part in [
        "kind: constraint failed",
        "sqlstate: 23505",
        "outcome: rejected",
        "detail: Key (id)=(1) already exists.",
        "argument 2, line 1: ",
        "sqlstate: 42P01",
    ] {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
    assert_eq!(
        run(&[&url, "--no-header", ".tables"]).good(),
        "public,t\r\n"
    );
    let ended = run(&[&url, ".cluster"]);
    assert!(ended.err.contains("no instances are known"), "{ended:?}");
    let ended = run(&["--timeout=200ms", &url, "select pg_sleep(20)"]);
    assert!(ended.err.contains("kind: deadline exceeded"), "{ended:?}");
}

#[test]
fn a_terminal_has_a_prompt_and_control_c_cancels_one_statement_alone() {
    let options = PostgresOptions::new().user("app", "T0psecret", Auth::Scram);
    let cluster = PostgresCluster::start(&options);
    let url = format!("postgres://app:T0psecret@{}/postgres", cluster.address());
    let mut shell = Shell::at_terminal(&[&url]);
    shell.expect("app:***@");
    shell.expect("sql> ");
    shell.say("select 1 as one,\n");
    shell.expect("...> ");
    shell.say("2 as two;\n");
    shell.expect(" one | two\r\n-----+-----\r\n   1 |   2\r\n(1 row)\r\n");
    shell.expect("sql> ");
    shell.say("select pg_sleep(600);\n");
    let sleeps = "select count(*) from pg_stat_activity where query like 'select pg_sleep(6%'";
    wait_for("the statement runs", common::shell::DEADLINE, || {
        (cluster.sql(sleeps) == "1").then_some(())
    });
    shell.say("\u{3}");
    shell.expect("kind: cancelled");
    shell.expect("sql> ");
    // What is typed is dropped.
    shell.say("select 'half\u{3}");
    shell.expect("sql> ");
    shell.say("begin;\n");
    shell.expect("ok\r\n");
    shell.expect("sql*> ");
    // Out of the history, as one line after the other was typed.
    shell.say("\u{1b}[A\u{1b}[A\u{1b}[A\n");
    shell.expect(" one | two\r\n");
    shell.expect("sql*> ");
    // What is typed ahead waits for its turn.
    shell.say("select 'first';\nselect 'second';\n");
    shell.expect(" second\r\n(1 row)\r\n");
    shell.expect("sql*> ");
    shell.say("selekt;\n");
    shell.expect("sqlstate: 42601");
    shell.expect("sql*> ");
    shell.say("rollback;\n");
    shell.expect("ok\r\n");
    shell.expect("sql> ");
    shell.say("\u{4}");
    let ended = shell.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}
