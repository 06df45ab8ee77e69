"""The public test suite of DB-API 2.0 (dbapi-compliance), against both databases."""

from __future__ import annotations

import dbapi20
import pytest
import quorate


class Suite(dbapi20.DatabaseAPI20Test):  # type: ignore[misc]
    driver = quorate
    __test__ = False

    def test_nextset(self) -> None:
        self.skipTest("optional in PEP 249: a statement has one result; Pool.send_batch runs several")

    def test_setoutputsize(self) -> None:
        cursor = self._connect().cursor()
        cursor.setoutputsize(1000)
        cursor.setoutputsize(2000, 0)
        cursor.connection.close()

    def test_callproc(self) -> None:
        self.assertFalse(hasattr(quorate.Cursor, "callproc"), "optional: dqlite and Picodata have no procedures to call")


class TestDqlite(Suite):
    __test__ = True

    @pytest.fixture(autouse=True)
    def place(self, dqlite: str) -> None:
        self.connect_args = (dqlite,)


class TestPicodata(Suite):
    __test__ = True
    connect_kw_args = {"transactions": False}

    @pytest.fixture(autouse=True)
    def place(self, picodata: str) -> None:
        self.connect_args = (picodata,)


class TestPostgres(Suite):
    __test__ = True

    @pytest.fixture(autouse=True)
    def place(self, picodata: str) -> None:
        self.connect_args = (picodata,)
