"""python -m momentscope: which versions work together here, and where the daemon is or would be."""
import argparse
import importlib
import os
import platform
import shutil
import sys
import sysconfig
from typing import Iterator, Tuple

from . import _lib
from ._client import default_endpoint
from .subscriber import Subscriber

SECONDS = 1.5                                      # a daemon publishes its own record once a second


def version_of(module: str) -> str:
    try:
        return str(getattr(importlib.import_module(module), "__version__", "of unknown version"))
    except ImportError:
        return "not installed"


def program(name: str) -> str:
    """Where the program is: on PATH, beside this Python, or in the tree around this package."""
    places = (os.environ.get("PATH", os.defpath), sysconfig.get_path("scripts"), os.path.dirname(_lib.find()))
    return shutil.which(name, path=os.pathsep.join(places)) or "not on PATH"


def answer(seconds: float) -> str:
    """What a daemon says within so many seconds."""
    with Subscriber(prefix="daemon") as subscriber:
        got = subscriber.next(seconds)
    if got is None:
        return f"no daemon was heard within {seconds:g} s; start momentscoped"
    return f"a daemon publishes, version {got[1].get('version', 'unknown')}, {got[1].get('tables', '?')} tables"


def facts(seconds: float) -> Iterator[Tuple[str, str]]:
    yield "momentscope", _lib.lib().mscope_version().decode()
    yield "library", os.path.abspath(_lib.find()) if os.sep in _lib.find() else _lib.find() + " of the system"
    yield "python", platform.python_version()
    for module in ("torch", "numpy"):
        yield module, version_of(module)
    for name in ("momentscoped", "momentscope"):
        yield f"program {name}", program(name)
    for which in ("ingest", "telemetry", "replay"):
        yield which, default_endpoint(which)
    yield "daemon", answer(seconds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m momentscope", description=__doc__,
                                     epilog="exit codes: 0 the library was loaded, 1 it was not")
    parser.add_argument("--wait", type=float, default=SECONDS, metavar="SECONDS", help="listen so long for a daemon "
                        "(default %(default)s)")
    wait = parser.parse_args().wait
    try:
        for name, fact in facts(min(max(wait, 0.0), 60.0)):
            print(f"{name:22} {fact}", flush=True)
    except ImportError as e:
        print(e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
