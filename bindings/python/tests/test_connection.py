"""Connections and cursors: transactions, fetching, row factories, errors."""

from __future__ import annotations

import contextlib
import gc
import socket
from collections.abc import Iterator

import pytest
import quorate


@pytest.fixture
def connection(dqlite: str) -> Iterator[quorate.Connection]:
    with quorate.connect(dqlite) as found:
        found.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        yield found


def count(url: str) -> int:
    with quorate.connect(url) as other:
        number: int = other.execute("SELECT count(*) FROM t").fetchone()[0]
        return number


def test_a_write_begins_a_transaction_that_rollback_undoes(dqlite: str, connection: quorate.Connection) -> None:
    connection.execute("SELECT 1").fetchall()
    assert not connection.in_transaction
    connection.execute("  /* why */ INSERT INTO t (name) VALUES ('a')")
    assert connection.in_transaction
    assert count(dqlite) == 0
    connection.rollback()
    assert not connection.in_transaction
    connection.execute("WITH one AS (SELECT 'b' AS n) INSERT INTO t (name) SELECT n FROM one")
    connection.commit()
    assert count(dqlite) == 1


def test_autocommit_begins_none(dqlite: str, connection: quorate.Connection) -> None:
    connection.autocommit = True
    connection.execute("INSERT INTO t (name) VALUES ('a')")
    assert not connection.in_transaction
    assert count(dqlite) == 1


def test_a_transaction_may_be_ruled_by_statements(dqlite: str, connection: quorate.Connection) -> None:
    connection.execute("BEGIN")
    connection.execute("INSERT INTO t (name) VALUES ('a')")
    connection.execute("COMMIT")
    assert count(dqlite) == 1
    connection.execute("INSERT INTO t (name) VALUES ('b')")
    connection.execute("ROLLBACK")
    connection.execute("SAVEPOINT s")
    connection.execute("INSERT INTO t (name) VALUES ('c')")
    connection.execute("ROLLBACK TO s")
    connection.commit()
    assert count(dqlite) == 1


def test_leaving_the_block_commits_or_rolls_back(dqlite: str, connection: quorate.Connection) -> None:
    with quorate.connect(dqlite) as first:
        first.execute("INSERT INTO t (name) VALUES ('a')")
    assert first.closed
    with pytest.raises(ZeroDivisionError), quorate.connect(dqlite) as second:
        second.execute("INSERT INTO t (name) VALUES ('b')")
        raise ZeroDivisionError
    assert count(dqlite) == 1


def test_a_closed_connection_says_so(connection: quorate.Connection) -> None:
    cursor = connection.execute("SELECT 1")
    connection.close()
    for call in (connection.commit, connection.cursor, cursor.fetchone, connection.close):
        with pytest.raises(quorate.InterfaceError):
            call()


def test_rows_are_fetched_in_any_portions(connection: quorate.Connection) -> None:
    numbers = connection.cursor()
    numbers.executemany("INSERT INTO t VALUES (?, ?)", ((number, str(number)) for number in range(10_000)))
    assert numbers.rowcount == 10_000
    cursor = connection.execute("SELECT id, name FROM t ORDER BY id")
    assert cursor.fetchone() == (0, "0")
    assert cursor.fetchmany() == [(1, "1")]
    assert cursor.fetchmany(3) == [(2, "2"), (3, "3"), (4, "4")]
    cursor.arraysize = 2
    assert cursor.fetchmany() == [(5, "5"), (6, "6")]
    assert next(cursor) == (7, "7")
    assert len(cursor.fetchmany(5000)) == 5000
    assert [row[0] for row in cursor] == list(range(5008, 10_000))
    assert cursor.fetchone() is None
    assert cursor.fetchmany(4) == []
    assert cursor.fetchall() == []
    assert cursor.fetchmany(0) == []


def test_two_cursors_read_side_by_side(connection: quorate.Connection) -> None:
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(number, str(number)) for number in range(3000)])
    found = []
    for (number,) in connection.execute("SELECT id FROM t ORDER BY id"):
        if number % 500 == 0:
            found += connection.execute("SELECT name FROM t WHERE id = ?", (number,)).fetchall()
    assert found == [(str(number),) for number in range(0, 3000, 500)]


def test_rows_with_names(connection: quorate.Connection) -> None:
    named = connection.cursor(quorate.named_row).execute('SELECT 1 AS id, 2 AS "a b", 3 AS class')
    row = named.fetchone()
    assert (row.id, row.a_b, row._2, row) == (1, 2, 3, (1, 2, 3))
    connection.row_factory = quorate.dict_row
    assert connection.execute("SELECT 1 AS a, 'x' AS b").fetchall() == [{"a": 1, "b": "x"}]


def test_a_statement_without_rows_has_none_to_fetch(connection: quorate.Connection) -> None:
    cursor = connection.execute("INSERT INTO t (name) VALUES ('a')")
    assert (cursor.description, cursor.rowcount, cursor.lastrowid) == (None, 1, 1)
    for fetch in (cursor.fetchone, cursor.fetchall, cursor.fetchmany):
        with pytest.raises(quorate.ProgrammingError, match="no rows"):
            fetch()
    assert connection.execute("UPDATE t SET name = 'b'").rowcount == 1
    assert connection.execute("CREATE TABLE u (a)").rowcount == -1


def test_errors_say_what_became_of_the_statement(connection: quorate.Connection) -> None:
    connection.execute("INSERT INTO t VALUES (1, 'a')")
    with pytest.raises(quorate.IntegrityError) as caught:
        connection.execute("INSERT INTO t VALUES (1, 'b')")
    error = caught.value
    assert (error.kind, error.outcome, error.code) == ("constraint", quorate.Outcome.REJECTED, 1555)
    assert str(error.outcome) == "rejected"
    assert error.node is not None and error.node in str(error)
    with pytest.raises(quorate.ProgrammingError):
        connection.execute("SELECT * FROM missing")
    with pytest.raises(quorate.ProgrammingError, match="parameter"):
        connection.execute("SELECT ?", (1, 2))


def test_an_error_has_the_fields_of_the_server(picodata: str, table: str) -> None:
    with quorate.connect(picodata, transaction_guard="off") as connection:
        columns = "id int CONSTRAINT one_of_each PRIMARY KEY, name text NOT NULL"
        connection.execute(f"CREATE TEMP TABLE {table} ({columns})")
        connection.execute(f"INSERT INTO {table} VALUES (1, 'brick')")
        connection.commit()

        def failure(sql: str, *params: object) -> quorate.Diagnostic:
            with pytest.raises(quorate.Error) as caught:
                connection.execute(sql, params)
            connection.rollback()
            found = caught.value.diag
            assert (found.severity, found.severity_nonlocalized) == ("ERROR", "ERROR")
            assert found.message_primary is not None and found.message_primary in str(caught.value)
            assert found.sqlstate == caught.value.sqlstate is not None
            return found

        taken = failure(f"INSERT INTO {table} VALUES (?, 'panel')", 1)
        assert (taken.constraint_name, taken.table_name, taken.column_name) == ("one_of_each", table, None)
        assert taken.message_detail == "Key (id)=(1) already exists."
        assert taken.schema_name is not None and taken.statement_position is None
        assert taken.source_file and taken.source_line and taken.source_function
        assert failure(f"INSERT INTO {table} VALUES (2, ?)", None).column_name == "name"
        # It counts in the text that was given, in which a parameter is one character.
        missing = failure("SELECT 'я', ?::int, lenth('x')", 1)
        assert missing.statement_position == "21"
        assert missing.message_hint is not None and missing.message_hint.startswith("No function matches")
        inner = failure("DO $$ BEGIN PERFORM 1 + nothing.at_all; END $$")
        assert (inner.internal_query, inner.internal_position) == ("SELECT 1 + nothing.at_all", "12")
        assert inner.context is not None and inner.context.startswith("PL/pgSQL function")


def test_an_error_of_dqlite_has_its_message_alone(connection: quorate.Connection) -> None:
    with pytest.raises(quorate.IntegrityError) as caught:
        connection.executemany("INSERT INTO t VALUES (1, ?)", [("a",), ("b",)])
    assert caught.value.diag == quorate.Diagnostic(message_primary=caught.value.diag.message_primary)
    assert caught.value.diag.message_primary is not None
    with pytest.raises(quorate.ProgrammingError) as misuse:
        connection.execute("CREATE TABLE u (a)").fetchone()
    assert misuse.value.diag == quorate.Diagnostic()


def test_an_error_of_many_lets_the_transaction_be_undone(dqlite: str, connection: quorate.Connection) -> None:
    with pytest.raises(quorate.IntegrityError):
        connection.executemany("INSERT INTO t (name) VALUES (?)", [("a",), ("b",), ("a",), ("c",)])
    connection.rollback()
    assert count(dqlite) == 0


def test_nobody_answers() -> None:
    with pytest.raises(quorate.OperationalError) as caught:
        quorate.connect("dqlite://127.0.0.1:1,127.0.0.1:2/x", timeout=0.3)
    assert caught.value.outcome == quorate.Outcome.NOT_SENT
    assert sorted(node for node, _ in caught.value.causes) == ["127.0.0.1:1", "127.0.0.1:2"]
    assert caught.value.causes[0][1].kind == "connect"


def test_options_are_looked_at() -> None:
    with pytest.raises(quorate.ProgrammingError, match="pool_max_conns"):
        quorate.connect("dqlite://127.0.0.1:1/x", pool_max_con=3)


def test_picodata_has_no_transactions(picodata: str, table: str) -> None:
    with quorate.connect(picodata, transactions=False) as connection:
        assert connection.autocommit
        connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY)")
        connection.execute(f"INSERT INTO {table} VALUES (1)")
        connection.commit()
        for call in (connection.rollback, connection.begin, lambda: setattr(connection, "autocommit", False)):
            with pytest.raises(quorate.NotSupportedError):
                call()
        assert connection.execute(f"SELECT id FROM {table}").fetchall() == [(1,)]


def test_postgresql_has_transactions(picodata: str, table: str) -> None:
    with quorate.connect(picodata, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY)")
        connection.autocommit = False
        connection.execute(f"INSERT INTO {table} VALUES (?)", (1,))
        connection.rollback()
        assert connection.execute(f"SELECT id FROM {table}").fetchall() == []


def test_a_refused_password_is_not_sent_again(standin: str) -> None:
    # A fifth wrong one would block the user.
    right = standin.replace("tester:", "admin:")

    def refused() -> None:
        with pytest.raises(quorate.OperationalError) as caught:
            quorate.connect(right.replace("@", "wrong@", 1))
        assert caught.value.kind == "authentication"

    for _ in range(6):
        refused()
        # A pool that nobody holds any more is gone.
        gc.collect()
    quorate.connect(right).close()


def test_a_timeout_may_be_a_duration(dqlite: str) -> None:
    with quorate.connect(dqlite, timeout="7s") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(quorate.ProgrammingError, match="timeout"):
        quorate.connect(dqlite, timeout="soon")


def test_the_error_that_leaves_the_block_is_the_programs_own_though_the_rollback_fails(dqlite: str) -> None:
    sockets: list[socket.socket] = []

    def dial(address: str, timeout: float | None) -> socket.socket:
        host, _, port = address.rpartition(":")
        made = socket.create_connection((host, int(port)), timeout)
        sockets.append(made.dup())
        return made

    with quorate.Pool(dqlite, dial=dial) as pool:
        pool.exec("CREATE TABLE t (a)")
        with pytest.raises(KeyError), pool.connection() as connection:
            connection.execute("INSERT INTO t VALUES (1)")
            for one in sockets:
                # One to a node that had nothing to say may be closed already.
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            raise KeyError
        for one in sockets:
            one.close()
        assert pool.query_row("SELECT count(*) FROM t") == (0,)
        assert pool.stats()["in_use"] == 0


def test_parameters_may_be_given_by_pep_249_s_names(connection: quorate.Connection) -> None:
    insert = "INSERT INTO t VALUES (?, ?)"
    assert connection.executemany(operation=insert, seq_of_parameters=[(1, "a"), (2, "b")]).rowcount == 2
    assert connection.cursor().executemany(operation=insert, seq_of_parameters=[(3, "c")]).rowcount == 1
    assert connection.execute(operation="SELECT name FROM t WHERE id = ?", parameters=(2,)).fetchall() == [("b",)]
    cursor = connection.cursor().execute(operation="SELECT name FROM t WHERE id = ?", parameters=(3,))
    assert cursor.fetchall() == [("c",)]
