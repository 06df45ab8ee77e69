"""The dialect for Picodata: what its SQL knows, written as PostgreSQL's.

Picodata has no transactions, so every statement is one of its own: `Connection.commit` does nothing, and `rollback`
fails. It has no RETURNING, no OFFSET, no defaults, no sequences, no correlated subqueries, and no catalogue of
PostgreSQL's: keys are given by the program, and tables are reflected from `_pico_table`, `_pico_index`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

from sqlalchemy import exc, schema, true
from sqlalchemy import types as sqltypes
from sqlalchemy.engine import default, reflection
from sqlalchemy.sql import compiler, operators
from sqlalchemy.sql.elements import BindParameter, Label, UnaryExpression, _label_reference, _truncated_label
from sqlalchemy.sql.selectable import Join

from quorate.sqlalchemy.common import OverQuorate


def _joined(left: Any, right: Any) -> Any:
    """What stands on the right of a comma of FROM, joined to what is left of it. There are no brackets around joins."""
    if isinstance(right, Join):
        return _joined(left, right.left).join(right.right, right.onclause, isouter=right.isouter, full=right.full)
    return left.join(right, true())


def _unlabelled(element: Any) -> Any:
    """An expression without the label that it may have, and without what the ORM has noted on it."""
    return (element.element if isinstance(element, Label) else element)._deannotate()


class PicodataCompiler(compiler.SQLCompiler):
    """Statements in the SQL of Picodata."""

    # Of each SELECT that is being written, itself and its columns.
    _selected: tuple[tuple[Any, list[Any]], ...] = ()

    def visit_bindparam(self, bindparam: Any, *args: Any, cast_binds: bool = False, **kw: Any) -> Any:
        parent: Any = super()
        text = parent.visit_bindparam(bindparam, *args, **kw)
        # A parameter with nothing beside it that has a type is taken for a text.
        alone = cast_binds or kw.get("within_columns_clause")
        literal = bindparam.literal_execute or kw.get("literal_binds") or kw.get("literal_execute")
        textual = bindparam.type._type_affinity in (sqltypes.NullType, sqltypes.String, sqltypes.JSON)
        if not alone or literal or textual or bindparam.expanding:
            return text
        return f"CAST({text} AS {self.dialect.type_compiler_instance.process(bindparam.type)})"

    def visit_binary(self, binary: Any, *args: Any, **kw: Any) -> Any:
        if isinstance(binary.left, BindParameter) and isinstance(binary.right, BindParameter):
            kw["cast_binds"] = True
        parent: Any = super()
        return parent.visit_binary(binary, *args, **kw)

    def visit_case(self, clause: Any, **kw: Any) -> Any:
        parent: Any = super()
        return parent.visit_case(clause, **{**kw, "cast_binds": True})

    def visit_unary(self, unary: Any, *args: Any, **kw: Any) -> Any:
        if unary.operator is operators.neg:
            # A minus belongs to a number alone.
            return f"(0 - {self.process(unary.element, **kw)})"
        parent: Any = super()
        return parent.visit_unary(unary, *args, **kw)

    def visit_not_like_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        parent: Any = super()
        return f"NOT ({parent.visit_like_op_binary(binary, operator, **kw)})"

    def visit_aggregate_strings_func(self, fn: Any, **kw: Any) -> str:
        if getattr(fn.clauses, "aggregate_order_by", None) is not None:
            raise exc.CompileError("Picodata has no ORDER BY in aggregates")
        text, separator = fn.clauses.clauses[:2]
        # A parameter is refused.
        return f"string_agg({self.process(text, **kw)}, {self.process(separator, **{**kw, 'literal_execute': True})})"

    def _compose_select_body(
        self, text: str, select: Any, compile_state: Any, inner_columns: Any, froms: Any, *rest: Any
    ) -> Any:
        # FROM takes no comma.
        joined = [reduce(_joined, froms)] if froms else froms
        outer = self._selected
        self._selected = (*outer, (select, compile_state.columns_plus_names))
        parent: Any = super()
        try:
            return parent._compose_select_body(text, select, compile_state, inner_columns, joined, *rest)
        finally:
            self._selected = outer

    def order_by_clause(self, select: Any, **kw: Any) -> str:
        columns = self._selected[-1][1] if self._selected and self._selected[-1][0] is select else []
        texts = [self._order(element, columns, kw) for element in select._order_by_clauses]
        return f" ORDER BY {', '.join(texts)}" if texts else ""

    def _order(self, element: Any, columns: list[Any], kw: dict[str, Any], by_name: bool = False) -> str:
        """An element of an ORDER BY. What is sorted are the columns of the result: another is not found, nor is one of them
        under a name that it does not have there."""
        if isinstance(element, _label_reference):
            return self._order(element.element, columns, kw, by_name)
        if isinstance(element, UnaryExpression) and element.modifier is not None:
            # NULLS FIRST and NULLS LAST are refused behind a number.
            by_name = by_name or element.modifier in (operators.nulls_first_op, operators.nulls_last_op)
            return self._order(element.element, columns, kw, by_name) + compiler.OPERATORS[element.modifier]
        wanted = _unlabelled(element)
        for place, (name, _, _, column, _) in enumerate(columns, 1):
            if not wanted.compare(_unlabelled(column)):
                continue
            if not by_name:
                return str(place)
            name = column.name if isinstance(column, Label) else name
            if isinstance(name, _truncated_label):
                name = self._truncated_identifier("colident", name)
            if name is not None:
                return self.preparer.quote(name)
        return self.process(element, **kw)

    def fetch_clause(self, *args: Any, **kw: Any) -> str:
        raise exc.CompileError("Picodata has no FETCH; use limit()")

    def limit_clause(self, select: Any, **kw: Any) -> str:
        if select._offset_clause is not None:
            raise exc.CompileError("Picodata has no OFFSET")
        if select._limit_clause is None:
            return ""
        return f"\n LIMIT {self.process(select._limit_clause.render_literal_execute(), **kw)}"

    def for_update_clause(self, select: Any, **kw: Any) -> str:
        # There is nothing that would hold the lock.
        return ""

    def returning_clause(self, *args: Any, **kw: Any) -> str:
        raise exc.CompileError("Picodata has no RETURNING")

    def visit_now_func(self, fn: Any, **kw: Any) -> str:
        return "CURRENT_TIMESTAMP"

    def visit_concat_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return f"{self.process(binary.left, **kw)} || {self.process(binary.right, **kw)}"


class PicodataDDLCompiler(compiler.DDLCompiler):
    """Definitions in the SQL of Picodata: a key is declared at the end of the table, and nothing refers to another."""

    def visit_foreign_key_constraint(self, constraint: Any, **kw: Any) -> str:
        raise exc.CompileError("Picodata has no foreign keys")

    def visit_unique_constraint(self, constraint: Any, **kw: Any) -> str:
        raise exc.CompileError("Picodata has no unique constraints; create a unique index")

    def visit_check_constraint(self, constraint: Any, **kw: Any) -> str:
        raise exc.CompileError("Picodata has no check constraints")

    def visit_primary_key_constraint(self, constraint: Any, **kw: Any) -> str:
        # The server names it.
        names = ", ".join(self.preparer.quote(column.name) for column in constraint)
        return f"PRIMARY KEY ({names})" if names else ""

    def get_column_specification(self, column: Any, **kw: Any) -> str:
        if column.computed is not None or column.identity is not None:
            raise exc.CompileError("Picodata has no computed or identity columns")
        if self.get_column_default_string(column) is not None:
            raise exc.CompileError("Picodata has no server_default; use default")
        name = self.preparer.format_column(column)
        kind = self.dialect.type_compiler_instance.process(column.type, type_expression=column)
        # Columns of the key have to be declared so.
        return f"{name} {kind}" + ("" if column.nullable and not column.primary_key else " NOT NULL")

    def post_create_table(self, table: Any) -> str:
        distributed = table.dialect_options["quorate"]["distributed"]
        if not distributed:
            return ""
        if isinstance(distributed, str) and distributed.lower() == "globally":
            return "\nDISTRIBUTED GLOBALLY"
        if not isinstance(distributed, str):
            distributed = ", ".join(map(self.preparer.quote, distributed))
        return f"\nDISTRIBUTED BY ({distributed})"


class PicodataTypeCompiler(compiler.GenericTypeCompiler):
    """Names of types (Picodata, "Data types")."""

    def visit_INTEGER(self, type_: Any, **kw: Any) -> str:
        return "INTEGER"

    visit_BIGINT = visit_SMALLINT = visit_INTEGER

    def visit_FLOAT(self, type_: Any, **kw: Any) -> str:
        return "DOUBLE"

    visit_REAL = visit_DOUBLE = visit_DOUBLE_PRECISION = visit_FLOAT

    def visit_NUMERIC(self, type_: Any, **kw: Any) -> str:
        return "DECIMAL"

    visit_DECIMAL = visit_NUMERIC

    def visit_VARCHAR(self, type_: Any, **kw: Any) -> str:
        return f"VARCHAR({type_.length})" if type_.length else "TEXT"

    visit_CHAR = visit_NVARCHAR = visit_VARCHAR

    def visit_TEXT(self, type_: Any, **kw: Any) -> str:
        return "TEXT"

    visit_CLOB = visit_TEXT

    def visit_BOOLEAN(self, type_: Any, **kw: Any) -> str:
        return "BOOLEAN"

    def visit_datetime(self, type_: Any, **kw: Any) -> str:
        return "DATETIME"

    def visit_TIMESTAMP(self, type_: Any, **kw: Any) -> str:
        return "DATETIME"

    def visit_DATE(self, type_: Any, **kw: Any) -> str:
        return "DATETIME"

    def visit_TIME(self, type_: Any, **kw: Any) -> str:
        raise exc.CompileError("Picodata has no type for a time of day; use DateTime or String")

    def visit_large_binary(self, type_: Any, **kw: Any) -> str:
        raise exc.CompileError("Picodata has no type for bytes that SQL can write")

    visit_BLOB = visit_BINARY = visit_VARBINARY = visit_large_binary

    def visit_JSON(self, type_: Any, **kw: Any) -> str:
        raise exc.CompileError("Picodata's SQL writes no documents; keep them as Text")

    def visit_ARRAY(self, type_: Any, **kw: Any) -> str:
        raise exc.CompileError("Picodata's SQL writes no arrays")

    def visit_uuid(self, type_: Any, **kw: Any) -> str:
        return "UUID"

    def visit_UUID(self, type_: Any, **kw: Any) -> str:
        return "UUID"


class PicodataIdentifierPreparer(compiler.IdentifierPreparer):
    """Names, in quotes where they are among Picodata's keywords (`query.pest`)."""

    reserved_words = compiler.RESERVED_WORDS | {
        *("begin", "by", "exists", "filter", "inner", "join", "left", "localtime", "localtimestamp"),
        *("option", "outer", "over", "set", "similar", "substring", "values", "window"),
    }


def _literal(value: datetime.date) -> str:
    """A point in time as a literal; one without an offset is in UTC, as a parameter is."""
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return f"CAST('{value.isoformat()}' AS DATETIME)"


class _DateTime(sqltypes.DateTime):
    """The server keeps an instant; a program that wants no offset gets the time in UTC."""

    def result_processor(self, dialect: Any, coltype: object) -> Any:
        if self.timezone:
            return None
        return lambda value: value if value is None else value.replace(tzinfo=None)

    def literal_processor(self, dialect: Any) -> Any:
        return _literal


class _Date(sqltypes.Date):
    """A day is kept as its midnight in UTC."""

    def result_processor(self, dialect: Any, coltype: object) -> Any:
        return lambda value: value if value is None else value.date()

    def literal_processor(self, dialect: Any) -> Any:
        return _literal


class _Document(sqltypes.JSON):
    """Maps and arrays come from the driver as documents, and not as their text."""

    def result_processor(self, dialect: Any, coltype: object) -> Any:
        return None


# Types as `_pico_table` names them.
_TYPES: dict[str, Callable[[], sqltypes.TypeEngine[Any]]] = {
    "boolean": sqltypes.BOOLEAN,
    "integer": sqltypes.INTEGER,
    "unsigned": sqltypes.INTEGER,
    "double": sqltypes.FLOAT,
    "decimal": sqltypes.DECIMAL,
    "string": sqltypes.TEXT,
    "text": sqltypes.TEXT,
    "uuid": sqltypes.UUID,
    # An instant.
    "datetime": partial(sqltypes.DateTime, timezone=True),
    "map": sqltypes.JSON,
    "array": sqltypes.JSON,
    "any": sqltypes.JSON,
}


class PicodataDialect(OverQuorate, default.DefaultDialect):
    """Picodata through quorate."""

    name = "quorate"
    driver = "picodata"
    statement_compiler = PicodataCompiler
    ddl_compiler = PicodataDDLCompiler
    type_compiler_cls = PicodataTypeCompiler
    preparer = PicodataIdentifierPreparer
    supports_statement_cache = True
    supports_alter = False
    supports_comments = False
    supports_sequences = False
    supports_native_boolean = True
    supports_native_decimal = True
    supports_native_uuid = True
    supports_default_values = False
    supports_empty_insert = False
    supports_multivalues_insert = True
    supports_sane_multi_rowcount = True
    postfetch_lastrowid = False
    insert_returning = False
    update_returning = False
    delete_returning = False
    use_insertmanyvalues = False
    colspecs = {sqltypes.DateTime: _DateTime, sqltypes.Date: _Date, sqltypes.JSON: _Document}
    construct_arguments = [(schema.Table, {"distributed": None})]

    def initialize(self, connection: Any) -> None:
        # Nothing is asked of the server: it has no catalogue to ask.
        self.server_version_info = None
        self.default_schema_name = None
        self.default_isolation_level = "AUTOCOMMIT"

    def do_begin(self, dbapi_connection: Any) -> None:
        """Nothing: each statement is a transaction of its own."""

    def do_rollback(self, dbapi_connection: Any) -> None:
        """Nothing can be undone. SQLAlchemy also rolls back whenever a connection goes back to its pool."""

    def do_ping(self, dbapi_connection: Any) -> bool:
        dbapi_connection.ping()
        return True

    def get_isolation_level_values(self, dbapi_connection: Any) -> Any:
        return ["AUTOCOMMIT"]

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        return "AUTOCOMMIT"

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """There is one level only."""

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        kind: str = getattr(e, "kind", "")
        return kind in ("disconnected", "closed", "forked", "protocol")

    def _table(self, connection: Any, name: str, column: str) -> Any:
        """A column of the row that `_pico_table` has for a table."""
        row = connection.exec_driver_sql(f"SELECT {column} FROM _pico_table WHERE name = ?", (name,)).first()
        if row is None:
            raise exc.NoSuchTableError(name)
        return row[0]

    @reflection.cache
    def get_table_names(self, connection: Any, schema: str | None = None, **kw: Any) -> Any:
        names = connection.exec_driver_sql("SELECT name FROM _pico_table").scalars().all()
        return sorted(name for name in names if not name.startswith("_pico_"))

    @reflection.cache
    def has_table(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> bool:
        found = connection.exec_driver_sql("SELECT id FROM _pico_table WHERE name = ?", (table_name,)).first()
        return found is not None

    @reflection.cache
    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        columns = self._table(connection, table_name, "format")
        return [
            {
                "name": column["name"],
                "type": _TYPES.get(column["field_type"], sqltypes.NullType)(),
                "nullable": column["is_nullable"],
                "default": None,
            }
            for column in columns
            # The server's own column, which no statement names.
            if column["name"] != "bucket_id"
        ]

    def _indexes(self, connection: Any, table_name: str) -> Any:
        """Of each index of a table its number, its name, its options, and the names of its columns."""
        number = self._table(connection, table_name, "id")
        text = "SELECT id, name, opts, parts FROM _pico_index WHERE table_id = ? ORDER BY id"
        # All are read before the first is used: the connection may be asked something else meanwhile.
        for index, name, options, parts in connection.exec_driver_sql(text, (number,)).all():
            # A part is the name of a column, its type and more.
            yield index, name, options, [part[0] for part in parts]

    @reflection.cache
    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        for index, name, _, columns in self._indexes(connection, table_name):
            if index == 0:
                return {"name": name, "constrained_columns": [one for one in columns if one != "bucket_id"]}
        return {"name": None, "constrained_columns": []}

    @reflection.cache
    def get_indexes(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        found = []
        for index, name, options, columns in self._indexes(connection, table_name):
            if index != 0:
                unique = any(one.get("unique") for one in options)
                found.append({"name": name, "column_names": columns, "unique": unique})
        return found

    @reflection.cache
    def get_table_options(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        """How the rows are spread, as `Table` takes it: `quorate_distributed`."""
        distribution = self._table(connection, table_name, "distribution")
        if distribution == "Global" or "Global" in distribution:
            return {"quorate_distributed": "globally"}
        columns = distribution.get("ShardedImplicitly", [()])[0]
        quoted = map(self.identifier_preparer.quote, columns)
        return {"quorate_distributed": ", ".join(quoted)} if columns else {}

    def get_foreign_keys(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        return []

    def get_unique_constraints(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        return []

    def get_view_names(self, connection: Any, schema: str | None = None, **kw: Any) -> Any:
        return []


dialect = PicodataDialect
