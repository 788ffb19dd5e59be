"""Where the files that travel with the program are: in the wheel, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
_BUNDLED = _PACKAGE / "bundled"
_ROOT = _BUNDLED if _BUNDLED.is_dir() else _PACKAGE.parent

SQL = _ROOT / "sql"
DEFAULT_CONFIG = _ROOT / "config.toml"
REDIS_SCRIPTS = _PACKAGE / "stores" / "scripts"
