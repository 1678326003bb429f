"""Build backend of the package (PEP 517, PEP 660): make compiles, a wheel is a zip. It needs nothing but make and Python.

A wheel holds the package, libmomentscope.so beside it, and the daemon as a script. The program momentscope is left out:
it links GPL libraries, and `make install` has it. $BUILD names the build folder of the tree, as for make.

Rejected: setuptools. Its share would be to zip the files named here, and every install would have to fetch it.
"""
import base64
import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from typing import Any, Dict, List, Optional, Tuple

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TREE = os.path.dirname(os.path.dirname(HERE))
Entry = Tuple[str, bytes, int]                   # name in the wheel, contents, mode of the file
Settings = Optional[Dict[str, Any]]


def read(*path: str) -> bytes:
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def version() -> str:
    found = re.search(r'^#define MSCOPE_VERSION "([^"]+)"', read(TREE, "include/mscope/wire.h").decode(), re.M)
    assert found, "include/mscope/wire.h defines MSCOPE_VERSION"
    return found[1]


def compiled() -> str:
    """Build library and daemon; returns their folder."""
    build = os.environ.get("BUILD", "build")
    wanted = [os.path.join(build, "libmomentscope.so"), os.path.join(build, "momentscoped")]
    inherited = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    try:
        done = subprocess.call(["make", "-j2", f"BUILD={build}", *wanted], cwd=TREE, env=inherited, stdout=sys.stderr)
    except OSError as e:
        raise SystemExit(f"momentscope: cannot run make: {e}")
    if done:
        raise SystemExit("momentscope: make could not build the library. It needs a C compiler, make, pkg-config and the "
                         "headers of libzmq, msgpack-c and SIMDe; on Debian: apt install build-essential pkg-config "
                         "libzmq3-dev libmsgpack-dev libsimde-dev")
    return os.path.join(TREE, build)


def stripped(path: str) -> bytes:
    """The program without its debugging symbols, a tenth of the size; as it is where there is no strip."""
    with tempfile.TemporaryDirectory() as at:
        copy = os.path.join(at, "copy")
        try:
            return read(copy) if subprocess.call(["strip", "--strip-unneeded", "-o", copy, path]) == 0 else read(path)
        except OSError:
            return read(path)


def metadata() -> bytes:
    return (f"Metadata-Version: 2.1\nName: momentscope\nVersion: {version()}\n"
            "Summary: See what momentum does to frequent and to rare rows while a model trains\n"
            "License: MIT\nRequires-Python: >=3.8\n"
            "Provides-Extra: torch\nRequires-Dist: torch>=1.13; extra == 'torch'\n"
            "Classifier: Typing :: Typed\nClassifier: Operating System :: POSIX :: Linux\n"
            "Description-Content-Type: text/markdown\n\n").encode() + read(TREE, "README.md")


def tag() -> str:
    """Any Python 3 on this kind of machine: the library is loaded with ctypes. It links the machine's own libzmq, so the
    wheel claims no manylinux."""
    return "py3-none-" + re.sub(r"[-.]", "_", sysconfig.get_platform())


def info() -> List[Entry]:
    at = f"momentscope-{version()}.dist-info"
    about = f"Wheel-Version: 1.0\nGenerator: wheelbuild\nRoot-Is-Purelib: false\nTag: {tag()}\n"
    return [(f"{at}/METADATA", metadata(), 0o644), (f"{at}/WHEEL", about.encode(), 0o644),
            (f"{at}/LICENSE", read(TREE, "LICENSE"), 0o644)]


def package() -> List[Entry]:
    where = os.path.join(HERE, "momentscope")
    return [(f"momentscope/{name}", read(where, name), 0o644) for name in sorted(os.listdir(where))
            if name.endswith(".py") or name == "py.typed"]


def write(folder: str, entries: List[Entry]) -> str:
    """A wheel of these entries; returns its file name."""
    name, record = f"momentscope-{version()}-{tag()}.whl", []
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    moment = time.gmtime(max(epoch, 315532800))[:6]          # a zip begins in 1980
    with zipfile.ZipFile(os.path.join(folder, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        def put(path: str, contents: bytes, mode: int) -> None:
            one = zipfile.ZipInfo(path, moment)
            one.external_attr, one.compress_type = (0o100000 | mode) << 16, zipfile.ZIP_DEFLATED
            wheel.writestr(one, contents)

        for path, contents, mode in entries:
            put(path, contents, mode)
            digest = base64.urlsafe_b64encode(hashlib.sha256(contents).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(contents)}\n")
        at = f"momentscope-{version()}.dist-info/RECORD"
        put(at, ("".join(record) + f"{at},,\n").encode(), 0o644)
    return name


# -- what pip calls -------------------------------------------------------------------------------------

def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: Optional[str] = None) -> str:
    build = compiled()
    return write(wheel_directory, package() + info() + [
        ("momentscope/libmomentscope.so.0", stripped(os.path.join(build, "libmomentscope.so.0")), 0o755),
        (f"momentscope-{version()}.data/scripts/momentscoped", stripped(os.path.join(build, "momentscoped")), 0o755)])


def build_editable(wheel_directory: str, config_settings: Settings = None,
                   metadata_directory: Optional[str] = None) -> str:
    """Points into the tree, whose build folder holds the library."""
    compiled()
    return write(wheel_directory, [("momentscope.pth", (HERE + "\n").encode(), 0o644)] + info())


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    raise SystemExit("momentscope: the package is compiled from the whole tree; git archive makes a source archive of it")


def unpacked(folder: str) -> None:
    """The package without library and daemon, which are installed elsewhere: for distributions (make install-python)."""
    for path, contents, mode in package() + info()[:1]:
        to = os.path.join(folder, path)
        os.makedirs(os.path.dirname(to), exist_ok=True)
        with open(to, "wb") as f:
            f.write(contents)
        os.chmod(to, mode)


if __name__ == "__main__":                       # make wheel, make install-python
    if sys.argv[1] == "--unpacked":
        unpacked(sys.argv[2])
    else:
        print(os.path.join(sys.argv[1], build_wheel(sys.argv[1])))
