"""What the dialect for Picodata says, run on the stand-in, whose parser refuses what Picodata's refuses."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from quorate.sqlalchemy.picodata import PicodataDialect
from sqlalchemy import func, literal, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

UTC = datetime.timezone.utc
MARK = uuid.UUID(int=5)


def key(name: str = "id") -> Any:
    return sa.Column(name, sa.Integer, primary_key=True, autoincrement=False)


@pytest.fixture
def item(engine: sa.Engine, table: str) -> Iterator[sa.Table]:
    """A table of three rows."""
    item = sa.Table(
        table,
        sa.MetaData(naming_convention={"pk": "pk_%(table_name)s"}),
        key(),
        sa.Column("name", sa.String(20)),
        sa.Column("price", sa.Numeric(10, 2)),
        sa.Column("day", sa.Date),
        # Picodata's own keywords.
        sa.Column("begin", sa.Integer),
        sa.Column("option", sa.Integer),
        quorate_distributed=["id"],
    )
    item.drop(engine, checkfirst=True)
    item.create(engine)
    day = datetime.date(2024, 2, 29)
    with engine.connect() as connection:
        rows = [{"id": n, "name": f"n{n}", "price": decimal.Decimal(n) / 2, "day": day, "begin": n} for n in (1, 2, 3)]
        connection.execute(item.insert(), rows)
    yield item
    item.drop(engine)


def run(engine: sa.Engine, query: Any) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [*map(tuple, connection.execute(query))]


@pytest.mark.parametrize(
    "value",
    [5, -5, 1.5, True, "x", decimal.Decimal("1.50"), MARK, datetime.datetime(2024, 5, 6, 7, 8, 9, 123456)],
    ids=str,
)
def test_a_parameter_that_stands_alone_has_its_type(engine: sa.Engine, value: object) -> None:
    assert run(engine, select(literal(value))) == [(value,)]
    assert run(engine, select(sa.case((literal(1) == literal(1), literal(value)), else_=literal(value)))) == [(value,)]


def test_what_is_written_otherwise_than_in_other_databases(engine: sa.Engine, item: sa.Table) -> None:
    c, other = item.c, item.alias("other")
    assert run(engine, select(-c.price, 1 - -c.id).where(c.id == 3)) == [(decimal.Decimal("-1.5"), 4)]
    assert run(engine, select(c.id).where(c.name.not_like("n1%")).order_by(c.id)) == [(2,), (3,)]
    assert run(engine, select(c.id).where(c.name.not_ilike("N1%")).order_by(c.id)) == [(2,), (3,)]
    # Two tables behind a FROM, the second of which is a join.
    third = item.alias("third")
    second = other.join(third, third.c.id == other.c.id + 1)
    query = select(c.id, third.c.id).select_from(item, second).where(c.id == other.c.id).order_by(c.id)
    assert run(engine, query) == [(1, 2), (2, 3)]
    query = select(sa.case((c.id < 2, 10), else_=20)).where(c.id < 3)
    assert sorted(run(engine, query)) == [(10,), (20,)]
    query = select(c.day, c.begin).where(c.day > datetime.date(2024, 2, 28)).limit(1).order_by(c.begin)
    assert run(engine, query) == [(datetime.date(2024, 2, 29), 1)]


def test_columns_are_sorted_by_whatever_they_are_called(engine: sa.Engine, item: sa.Table) -> None:
    c, other = item.c, item.alias("other")
    assert run(engine, select(c.id.label("x")).order_by(c.id.desc()).limit(1)) == [(3,)]
    assert run(engine, select(c.id.label("x")).order_by(sa.desc("x")).limit(1)) == [(3,)]
    query = select(c.id, other.c.id).join(other, other.c.id == c.id).order_by(other.c.id.desc().nulls_last(), c.id)
    assert run(engine, query) == [(3, 3), (2, 2), (1, 1)]
    query = select(c.day, func.count().label("n")).group_by(c.day).order_by(func.count())
    assert run(engine, query) == [(datetime.date(2024, 2, 29), 3)]
    # A SELECT within has columns of its own.
    within = select(other.c.id.label("y")).where(other.c.id > 1).order_by(other.c.id)
    assert run(engine, select(c.id.label("x")).where(c.id.in_(within)).order_by(c.id)) == [(2,), (3,)]


def test_literals_are_read_as_what_they_are(engine: sa.Engine) -> None:
    moment = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=datetime.timezone(datetime.timedelta(hours=3)))
    pairs: list[tuple[Any, Any]] = [(moment, sa.DateTime(timezone=True)), (datetime.date(2024, 5, 6), sa.Date())]
    for value, kind in pairs:
        query = select(literal(value, kind))
        text = str(query.compile(engine, compile_kwargs={"literal_binds": True}))
        assert "?" not in text and "AS DATETIME" in text
        with engine.connect() as connection:
            found = connection.exec_driver_sql(text).scalar_one()
        expected = value if value is moment else datetime.datetime(2024, 5, 6, tzinfo=UTC)
        assert found == expected


def test_what_the_server_would_not_do_is_not_left_out_in_silence() -> None:
    dialect = PicodataDialect()
    pairs: list[tuple[Any, str]] = [
        (sa.Column("n", sa.Integer, server_default="5"), "server_default"),
        (sa.Column("n", sa.Integer, sa.Computed("id + 1")), "computed"),
        (sa.Column("n", sa.Integer, sa.Identity()), "identity"),
        (sa.Column("n", sa.Time), "time of day"),
        (sa.Column("n", sa.LargeBinary), "bytes"),
        (sa.Column("n", sa.JSON), "documents"),
        (sa.Column("n", sa.ARRAY(sa.Integer)), "arrays"),
    ]
    for column, part in pairs:
        made = sa.Table("made", sa.MetaData(), key(), column)
        with pytest.raises(sa.exc.CompileError, match=part):
            sa.schema.CreateTable(made).compile(dialect=dialect)
    made = sa.Table("made", sa.MetaData(), key())
    with pytest.raises(sa.exc.CompileError, match="FETCH"):
        select(made).fetch(2).compile(dialect=dialect)
    separated = select(func.aggregate_strings(made.c.id, "', '")).compile(
        dialect=dialect, compile_kwargs={"render_postcompile": True}
    )
    assert "string_agg(made.id, ''', ''')" in str(separated)


def test_how_a_table_is_spread_may_be_said_in_names() -> None:
    pairs: list[tuple[Any, str]] = [
        (["id", "Part"], 'DISTRIBUTED BY (id, "Part")'),
        ("id", "DISTRIBUTED BY (id)"),
        ("GLOBALLY", "DISTRIBUTED GLOBALLY"),
    ]
    for given, expected in pairs:
        made = sa.Table("made", sa.MetaData(), key(), key("Part"), quorate_distributed=given)
        text = str(sa.schema.CreateTable(made).compile(dialect=PicodataDialect()))
        assert text.rstrip().endswith(expected)


class Base(DeclarativeBase):
    pass


links = sa.Table("orm_link", Base.metadata, key("writer"), key("book"))


class Writer(Base):
    __tablename__ = "orm_writer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list[Book]] = relationship(
        secondary=links,
        primaryjoin="Writer.id == foreign(orm_link.c.writer)",
        secondaryjoin="Book.id == foreign(orm_link.c.book)",
    )


class Book(Base):
    __tablename__ = "orm_book"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    title: Mapped[str]


def test_the_orm_on_picodata(engine: sa.Engine) -> None:
    Base.metadata.drop_all(engine)
    # A key of UUIDs beside one of integers.
    links.c.book.type = sa.Uuid()
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Writer(id=1, name="Ada", books=[Book(title="One"), Book(title="Two")]))
        session.commit()
    with Session(engine) as session:
        found = session.get_one(Writer, 1)
        assert sorted(book.title for book in found.books) == ["One", "Two"]
        found.name = "Grace"
        session.flush()
        # Each statement is committed by itself.
        session.rollback()
        assert session.get_one(Writer, 1).name == "Grace"
        query = select(Book.title).where(Writer.id == links.c.writer, Book.id == links.c.book).order_by(Book.title)
        assert session.scalars(query).all() == ["One", "Two"]
    Base.metadata.drop_all(engine)
