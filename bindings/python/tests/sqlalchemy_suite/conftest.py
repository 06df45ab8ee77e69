"""SQLAlchemy's own suite for dialects; tools/sqlalchemy_suite.py starts a cluster and runs it."""

import pytest
from sqlalchemy.dialects import registry
from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: F403
from sqlalchemy.testing.plugin import pytestplugin
from skipped import SKIPPED

# The plugin asks for the default driver of the name before the plus.
registry.register("quorate", "quorate.sqlalchemy.dqlite", "DqliteDialect")
pytest.register_assert_rewrite("sqlalchemy.testing.assertions")


def pytest_collection_modifyitems(session, config, items):
    pytestplugin.pytest_collection_modifyitems(session, config, items)
    for item in items:
        name = f"{item.cls.__name__.split('_sqlite')[0]}::{item.name}" if item.cls else item.name
        reason = next((text for start, text in SKIPPED.items() if name.startswith(start)), None)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
