"""Dialects for SQLAlchemy 2: `quorate+dqlite://host:port/database` and `quorate+picodata://user:password@host/database`.

Further hosts are given as `?host=host:port`, as SQLAlchemy takes one address before the path; one is enough, the others are
learned. All other options are the driver's own.
"""
