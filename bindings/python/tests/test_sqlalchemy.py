"""The dialects for SQLAlchemy; its own suite for the one for dqlite is in sqlalchemy_suite."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pytest
import quorate
import sqlalchemy as sa
from quorate.sqlalchemy.dqlite import DqliteDialect
from quorate.sqlalchemy.picodata import PicodataDialect
from sqlalchemy.engine import make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    born: Mapped[datetime.date]
    seen: Mapped[datetime.datetime]
    books: Mapped[list[Book]] = relationship(back_populates="author")


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")


def engine_of(url: str, **options: Any) -> sa.Engine:
    """An engine for a connection string of the driver's."""
    first, *more = url.removeprefix("dqlite://").split("/")[0].split(",")
    hosts = "&".join(f"host={host}" for host in more)
    database, _, query = url.rsplit("/", 1)[1].partition("?")
    return sa.create_engine(f"quorate+dqlite://{first}/{database}?{hosts}&{query}", **options)


def test_the_orm_on_dqlite(dqlite: str) -> None:
    engine = engine_of(dqlite)
    Base.metadata.create_all(engine)
    seen = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456)
    with Session(engine) as session:
        author = Author(name="Ada", born=datetime.date(1815, 12, 10), seen=seen)
        author.books += [Book(title="One"), Book(title="Two")]
        session.add(author)
        session.commit()
    with Session(engine) as session:
        found = session.scalars(sa.select(Author)).one()
        assert (found.name, found.born, found.seen) == ("Ada", datetime.date(1815, 12, 10), seen)
        assert sorted(book.title for book in found.books) == ["One", "Two"]
        found.name = "Grace"
        session.rollback()
        assert session.scalars(sa.select(Author.name)).one() == "Ada"
    inspector = sa.inspect(engine)
    assert inspector.get_table_names() == ["author", "book"]
    assert inspector.get_foreign_keys("book")[0]["referred_table"] == "author"
    assert engine.dialect.name == "sqlite"
    engine.dispose()


def test_errors_are_sqlalchemys_and_keep_the_drivers(dqlite: str) -> None:
    engine = engine_of(dqlite)
    with engine.connect() as connection, pytest.raises(sa.exc.ProgrammingError) as caught:
        connection.execute(sa.text("SELECT * FROM missing"))
    assert isinstance(caught.value.orig, quorate.ProgrammingError)
    assert caught.value.orig.outcome == quorate.Outcome.REJECTED
    engine.dispose()


def test_autocommit_is_an_isolation_level(dqlite: str) -> None:
    engine = engine_of(dqlite, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE TABLE t (a)"))
        connection.execute(sa.text("INSERT INTO t VALUES (:a)"), {"a": 1})
        connection.rollback()
        assert [*map(tuple, connection.execute(sa.text("SELECT a FROM t")))] == [(1,)]
    engine.dispose()


@pytest.mark.parametrize(
    "text, expected",
    [
        ("quorate+dqlite://h:9001/db", "dqlite://h:9001/db"),
        ("quorate+dqlite://h:1/db?host=i:2&host=j:3&timeout=5s", "dqlite://h:1,i:2,j:3/db?timeout=5s"),
        ("quorate+dqlite://[::1]:9001/db", "dqlite://[::1]:9001/db"),
    ],
)
def test_urls_of_dqlite(text: str, expected: str) -> None:
    assert DqliteDialect().create_connect_args(make_url(text)) == ([expected], {})


def test_options_of_the_driver_are_taken_from_the_url(dqlite: str) -> None:
    engine = engine_of(f"{dqlite}?timeout=5s&pool_max_conns=7")
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1
        driver: Any = connection.connection.driver_connection
        assert driver.pool.stats()["max_conns"] == 7
    engine.dispose()


def test_urls_of_picodata() -> None:
    url = make_url("quorate+picodata://us%40er:p%3Aw@h:4327/db")
    assert PicodataDialect().create_connect_args(url) == (["picodata://us%40er:p%3Aw@h:4327/db"], {})
    url = make_url("quorate+picodata://h/?options=sql_motion_row_max%3D9%2Csql_vdbe_opcode_max%3D0")
    expected = "picodata://h/?options=sql_motion_row_max%3D9%2Csql_vdbe_opcode_max%3D0"
    assert PicodataDialect().create_connect_args(url) == ([expected], {})


def test_statements_of_picodata(picodata: str, table: str) -> None:
    # What stands in for Picodata is reached by PostgreSQL's scheme.
    engine = sa.create_engine("quorate+picodata://", creator=lambda: quorate.connect(picodata, transactions=False))
    item = sa.Table(
        table,
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(20)),
        sa.Column("price", sa.Numeric(10, 2)),
        sa.Column("mark", sa.Uuid),
    )
    item.create(engine, checkfirst=False)
    with engine.connect() as connection:
        rows = [{"id": n, "name": f"n{n}", "price": decimal.Decimal(n) / 4, "mark": uuid.UUID(int=n)} for n in range(5)]
        connection.execute(item.insert(), rows)
        # What was written stays, whatever becomes of the block.
        connection.rollback()
        query = sa.select(item).where(item.c.price > 0.3, item.c.name != "n4").order_by(item.c.id).limit(2)
        found = [*map(tuple, connection.execute(query))]
        assert found == [(n, f"n{n}", decimal.Decimal(n) / 4, uuid.UUID(int=n)) for n in (2, 3)]
        assert connection.execute(item.update().where(item.c.id == 1).values(name="x")).rowcount == 1
        assert connection.execute(item.delete().where(item.c.id < 3)).rowcount == 3
        assert connection.scalar(sa.select(sa.func.count()).select_from(item)) == 2
    engine.dispose()


def test_what_picodata_does_not_know_is_refused() -> None:
    dialect = PicodataDialect()
    item = sa.Table("item", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Text))
    with pytest.raises(sa.exc.CompileError, match="OFFSET"):
        sa.select(item).offset(3).compile(dialect=dialect)
    with pytest.raises(sa.exc.CompileError, match="RETURNING"):
        item.insert().returning(item.c.id).compile(dialect=dialect)
    spread = sa.Table(
        "spread", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), quorate_distributed="id"
    )
    text = str(sa.schema.CreateTable(spread).compile(dialect=dialect))
    assert "id INTEGER NOT NULL" in text and text.rstrip().endswith("DISTRIBUTED BY (id)")
