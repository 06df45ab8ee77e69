"""Reflection by the dialect for Picodata, on the stand-in, whose tables `_pico_table` and `_pico_index` are as Picodata's."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Iterator

import pytest
import sqlalchemy as sa


@pytest.fixture
def item(engine: sa.Engine, table: str) -> Iterator[sa.Table]:
    """A table as a program declares it, with two indexes."""
    item = sa.Table(
        table,
        sa.MetaData(),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(20), nullable=False),
        sa.Column("price", sa.Numeric(10, 2)),
        sa.Column("weight", sa.Float),
        sa.Column("mark", sa.Uuid),
        sa.Column("made", sa.DateTime(timezone=True)),
        sa.Column("sold", sa.Boolean),
        sa.Index(f"{table}_name", "part", "id", "name", unique=True),
        sa.Index(f"{table}_sold", "sold", "made"),
        quorate_distributed="part, id",
    )
    item.metadata.create_all(engine)
    yield item
    item.metadata.drop_all(engine)


def test_tables_are_found(engine: sa.Engine, item: sa.Table) -> None:
    inspector = sa.inspect(engine)
    assert inspector.has_table(item.name)
    assert not inspector.has_table("nowhere")
    assert item.name in inspector.get_table_names()
    assert not [name for name in inspector.get_table_names() if name.startswith("_pico_")]
    # Picodata's own are known by name.
    assert inspector.has_table("_pico_table")
    assert not inspector.get_view_names() and not inspector.get_foreign_keys(item.name)
    # What is there is left alone.
    item.metadata.create_all(engine)


def test_columns_keys_and_indexes_are_read(engine: sa.Engine, item: sa.Table) -> None:
    inspector = sa.inspect(engine)
    columns = [(one["name"], type(one["type"]), one["nullable"]) for one in inspector.get_columns(item.name)]
    assert columns == [
        ("id", sa.INTEGER, False),
        ("part", sa.INTEGER, False),
        ("name", sa.TEXT, False),
        ("price", sa.DECIMAL, True),
        ("weight", sa.FLOAT, True),
        ("mark", sa.UUID, True),
        ("made", sa.DateTime, True),
        ("sold", sa.BOOLEAN, True),
    ]
    made = inspector.get_columns(item.name)[6]["type"]
    assert isinstance(made, sa.DateTime) and made.timezone
    assert inspector.get_pk_constraint(item.name)["constrained_columns"] == ["id", "part"]
    indexes = [(one["name"], one["column_names"], one["unique"]) for one in inspector.get_indexes(item.name)]
    assert sorted(indexes) == [
        (f"{item.name}_name", ["part", "id", "name"], True),
        (f"{item.name}_sold", ["sold", "made"], False),
    ]
    assert inspector.get_table_options(item.name) == {"quorate_distributed": "part, id"}
    for read in (inspector.get_columns, inspector.get_pk_constraint, inspector.get_indexes, inspector.get_table_options):
        with pytest.raises(sa.exc.NoSuchTableError, match="nowhere"):
            read("nowhere")


def test_a_reflected_table_is_used_and_made_again(engine: sa.Engine, item: sa.Table) -> None:
    found = sa.Table(item.name, sa.MetaData(), autoload_with=engine)
    assert [column.name for column in found.primary_key] == ["id", "part"]
    assert {index.name for index in found.indexes} == {f"{item.name}_name", f"{item.name}_sold"}
    mark, made = uuid.uuid4(), datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc)
    row = (1, 2, "n", decimal.Decimal("2.50"), 1.5, mark, made, True)
    with engine.connect() as connection:
        connection.execute(found.insert(), dict(zip(found.c.keys(), row)))
        assert [*map(tuple, connection.execute(found.select().where(found.c.mark == mark)))] == [row]
        item.metadata.drop_all(engine)
        found.metadata.create_all(engine)
        assert connection.execute(found.select()).all() == []
    assert sa.inspect(engine).get_table_options(item.name) == {"quorate_distributed": "part, id"}


def test_a_whole_database_is_reflected(engine: sa.Engine, item: sa.Table) -> None:
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE TABLE {item.name}_all (id INT PRIMARY KEY) DISTRIBUTED GLOBALLY"))
    metadata = sa.MetaData()
    metadata.reflect(engine)
    assert {item.name, f"{item.name}_all"} <= set(metadata.tables)
    everywhere = metadata.tables[f"{item.name}_all"]
    assert everywhere.dialect_options["quorate"]["distributed"] == "globally"
    with engine.connect() as connection:
        connection.execute(sa.schema.DropTable(everywhere))
    assert not sa.inspect(engine).has_table(everywhere.name)


def test_names_that_need_quotes(engine: sa.Engine, table: str) -> None:
    odd = sa.Table(
        f"Odd {table}",
        sa.MetaData(),
        sa.Column("Id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("select", sa.Text),
        quorate_distributed='"Id"',
    )
    odd.create(engine)
    found = sa.Table(odd.name, sa.MetaData(), autoload_with=engine)
    assert found.c.keys() == ["Id", "select"]
    assert found.dialect_options["quorate"]["distributed"] == '"Id"'
    with engine.connect() as connection:
        connection.execute(found.insert(), {"Id": 1, "select": "x"})
        assert [*map(tuple, connection.execute(found.select()))] == [(1, "x")]
    odd.drop(engine)


def test_documents_come_as_documents(engine: sa.Engine) -> None:
    own = sa.Table("_pico_table", sa.MetaData(), autoload_with=engine)
    instances = sa.Table("_pico_instance", sa.MetaData(), autoload_with=engine)
    assert isinstance(instances.c.current_state.type, sa.JSON)
    with engine.connect() as connection:
        assert [state[0] for state in connection.scalars(sa.select(instances.c.current_state))] == ["Online"] * 3
        assert connection.scalars(sa.select(own.c.id).where(own.c.name == "nowhere")).all() == []
