"""Connection strings of SQLAlchemy as the driver's."""

from __future__ import annotations

from urllib.parse import quote

from sqlalchemy.engine import URL


def connection_string(url: URL, scheme: str) -> tuple[str, dict[str, str]]:
    """The driver's connection string, and its options."""
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
    return f"{scheme}://{user}{','.join(hosts)}/{quote(url.database or '', safe='')}", options
