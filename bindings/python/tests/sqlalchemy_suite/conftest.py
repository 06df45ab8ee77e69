"""SQLAlchemy's own suite for dialects. run.py starts a cluster and runs it."""

import pytest
from sqlalchemy.dialects import registry
from sqlalchemy.testing.plugin import pytestplugin
from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: F403

from skipped import BY_REQUIREMENT, SKIPPED

# The plugin asks for the default driver of the name before the plus.
registry.register("quorate", "quorate.sqlalchemy.dqlite", "DqliteDialect")
pytest.register_assert_rewrite("sqlalchemy.testing.assertions")
_unexplained = []


def _reason(reasons, name):
    return next((reason for start, reason in reasons.items() if name.startswith(start)), None)


def pytest_collection_modifyitems(session, config, items):
    pytestplugin.pytest_collection_modifyitems(session, config, items)
    for item in items:
        reason = _reason(SKIPPED, f"{item.cls.__name__.split('_sqlite')[0]}::{item.name}")
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_runtest_logreport(report):
    if not report.skipped:
        return
    start, _, case = report.nodeid.partition("::")[2].partition("::")
    name = f"{start.split('_sqlite')[0]}::{case}"
    if not _reason({**BY_REQUIREMENT, **SKIPPED}, name):
        _unexplained.append(name)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    for name in _unexplained:
        print(f"\nskipped without a reason in skipped.py: {name}")
    if _unexplained:
        session.exitstatus = 1
