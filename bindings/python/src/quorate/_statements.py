"""What the binding has to know of a statement's text: whether it begins or ends a transaction."""

from __future__ import annotations

import re

# Blanks and comments, then the first word.
_SKIP = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_WRITES = re.compile(_SKIP + r"(?:(?:INSERT|UPDATE|DELETE|REPLACE)\b|WITH\b.*\b(?:INSERT|UPDATE|DELETE|REPLACE)\b)", re.I | re.S)
_SAVEPOINT = re.compile(_SKIP + r"SAVEPOINT\b", re.I | re.S)
_ENDS = re.compile(_SKIP + r"(?:COMMIT|END|ROLLBACK|RELEASE)\b", re.I | re.S)


def writes(operation: str) -> bool:
    """Whether a statement inserts, changes or deletes rows. A WITH that only names such a word counts as well."""
    return _WRITES.match(operation) is not None


def wants_transaction(operation: str) -> bool:
    """Whether PEP 249 wants a transaction begun before the statement. A savepoint would otherwise begin one that only
    its release ends."""
    return writes(operation) or _SAVEPOINT.match(operation) is not None


def may_end_transaction(operation: str) -> bool:
    """Whether the transaction may have ended by the statement."""
    return _ENDS.match(operation) is not None
