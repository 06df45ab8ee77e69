"""What both dialects have: the driver's module, its connection strings, and a pool of SQLAlchemy's in front of its own."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy.engine import URL
from sqlalchemy.pool import Pool, QueuePool


class OverQuorate:
    """A dialect over quorate. Its `driver` is the scheme of the driver's connection strings."""

    driver: str
    default_paramstyle = "qmark"
    returns_native_bytes = True

    @classmethod
    def import_dbapi(cls) -> Any:
        import quorate

        return quorate

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:
        return QueuePool

    def create_connect_args(self, url: URL) -> Any:
        return [connection_string(url, self.driver)], {}


def connection_string(url: URL, scheme: str) -> str:
    """The driver's connection string, with its options."""
    options = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items() if name != "host"}
    more = url.query.get("host", ())
    host = url.host or ""
    if ":" in host:
        host = f"[{host}]"
    hosts = [f"{host}:{url.port}" if url.port else host] if host else []
    hosts += [more] if isinstance(more, str) else list(more)
    user = ""
    if url.username is not None:
        password = f":{quote(str(url.password), safe='')}" if url.password is not None else ""
        user = f"{quote(url.username, safe='')}{password}@"
    query = f"?{urlencode(options, quote_via=quote)}" if options else ""
    return f"{scheme}://{user}{','.join(hosts)}/{quote(url.database or '', safe='')}{query}"
