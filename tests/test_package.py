#!/usr/bin/env python3
"""The Python package as others get it: a wheel and `pip install` in fresh environments, without network and tree."""
import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest
import zipfile

from client_support import BUILD, ROOT

SANITIZED = "MOMENTSCOPE_SANITIZED" in os.environ
OURS = ("MOMENTSCOPE_LIB", "MOMENTSCOPE_STRICT", "PYTHONPATH", "BUILD", "MAKEFLAGS")


def run(*command, **env):
    """Standard output of a command that knows nothing of this tree."""
    known = {k: v for k, v in os.environ.items() if k not in OURS}
    r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tempfile.gettempdir(),
                       env={**known, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **env})
    if r.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {r.returncode}\n{r.stdout}{r.stderr}")
    return r.stdout


ATTACHED = """
    import os, subprocess, sys, time, torch, momentscope
    daemon = subprocess.Popen([os.path.join(sys.prefix, "bin", "momentscoped"), "--interval", "0.05"])
    try:
        torch.manual_seed(1)
        model = torch.nn.Sequential(torch.nn.Embedding(50, 4), torch.nn.Linear(4, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        scope = momentscope.attach(model, optimizer)
        subscriber = momentscope.Subscriber(prefix="table/")
        for _ in range(20):
            optimizer.zero_grad()
            model(torch.randint(0, 50, (8,))).pow(2).mean().backward()
            optimizer.step(); scope.step()
        assert scope.flush(20), scope.stats()
        end = time.monotonic() + 20
        while True:
            assert time.monotonic() < end, "no record of step 20"
            topic, record = subscriber.next(1.0) or ("", {})
            if record.get("step") == 20:
                break
        print(topic, record["rows"], record["exact"])
        print(os.path.dirname(momentscope._lib.find()) == os.path.dirname(momentscope.__file__))
        scope.close(); subscriber.close()
    finally:
        daemon.terminate(); daemon.wait()
"""
BARE = """
    import importlib.util, momentscope
    assert importlib.util.find_spec("torch") is None and importlib.util.find_spec("numpy") is None
    client = momentscope.Client(quiet=True)
    handle = client.attach("words", 4, 2, 4)
    assert client.skip(handle) == 1
    client.close(0)
    with momentscope.Subscriber() as subscriber:
        assert subscriber.next(0.05) is None
        assert subscriber.stats()["received"] == 0
    try:
        momentscope.attach(None, None)
    except ModuleNotFoundError as e:
        print(e.name, momentscope.__version__)
"""
TYPED = """
    import momentscope
    client = momentscope.Client()
    good: bool = client.flush(1.0)
    wrong: str = client.flush(1.0)
"""


@unittest.skipIf(SANITIZED, "an instrumented library is not one to install")
class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="momentscope-test-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        made = run(sys.executable, f"{ROOT}/host/python/packaging/wheelbuild.py", cls.dir, BUILD=BUILD)
        cls.wheel = made.splitlines()[-1]
        cls.bare = cls.environment("bare")
        cls.pip(cls.bare, "install", cls.wheel)

    @classmethod
    def environment(cls, name, *options):
        at = f"{cls.dir}/{name}"
        try:
            run(sys.executable, "-m", "venv", *options, at)
        except AssertionError as e:
            raise unittest.SkipTest(f"no virtual environment can be made here: {str(e)[-200:]}")
        return at

    @classmethod
    def pip(cls, at, command, *arguments, **env):
        """One environment's pip serves all: an environment with a pip of its own takes seconds to make."""
        run(f"{cls.bare}/bin/pip", "--python", f"{at}/bin/python", command, "-q", *arguments, **env)

    def python(self, at, program, **env):
        return run(f"{at}/bin/python", "-c", textwrap.dedent(program), XDG_RUNTIME_DIR=self.runtime(), **env)

    def runtime(self):
        at = tempfile.mkdtemp(dir=self.dir)      # nobody else's daemon
        os.chmod(at, 0o700)
        return at

    def test_every_file_of_the_wheel_is_recorded_with_its_hash(self):
        with zipfile.ZipFile(self.wheel) as wheel:
            record = next(n for n in wheel.namelist() if n.endswith(".dist-info/RECORD"))
            lines = [line.rsplit(",", 2) for line in wheel.read(record).decode().splitlines()]
            self.assertEqual(sorted(line[0] for line in lines), sorted(wheel.namelist()))
            for name, digest, size in lines:
                if name != record:
                    contents = wheel.read(name)
                    sha = base64.urlsafe_b64encode(hashlib.sha256(contents).digest()).rstrip(b"=").decode()
                    self.assertEqual((digest, int(size)), ("sha256=" + sha, len(contents)), name)
            names = [n for n in wheel.namelist() if n.startswith("momentscope/")]
        here = [f"momentscope/{n}" for n in os.listdir(f"{ROOT}/host/python/momentscope") if n.endswith((".py", ".typed"))]
        self.assertEqual(sorted(names), sorted(here + ["momentscope/libmomentscope.so.0"]))

    def test_a_wheel_attaches_a_run_to_the_daemon_that_came_with_it(self):
        try:
            import torch     # noqa: F401
        except ImportError:
            self.skipTest("torch is not installed")
        at = self.environment("torch", "--without-pip", "--system-site-packages")
        self.pip(at, "install", self.wheel)
        said = self.python(at, ATTACHED).splitlines()
        self.assertEqual(said, ["table/0.weight 50 True", "True"])

    def test_without_torch_and_numpy_client_and_subscriber_work(self):
        self.assertRegex(self.python(self.bare, BARE), r"^torch \d+\.\d+\.\d+\n$")

    def test_the_package_tells_what_it_found(self):
        runtime = self.runtime()
        said = run(f"{self.bare}/bin/python", "-m", "momentscope", "--wait", "0.1", XDG_RUNTIME_DIR=runtime)
        facts = dict(line.split(None, 1) for line in said.replace("program ", "").splitlines())
        self.assertTrue(facts["library"].startswith(f"{self.bare}/lib"), said)
        self.assertEqual(facts["momentscoped"], f"{self.bare}/bin/momentscoped")
        self.assertEqual(facts["torch"], "not installed")
        self.assertEqual(facts["ingest"], f"ipc://{runtime}/momentscope/ingest.ipc")
        self.assertIn("no daemon was heard within 0.1 s", facts["daemon"])

    def test_a_library_that_cannot_be_loaded_is_exit_1_and_says_what_to_do(self):
        r = subprocess.run([f"{self.bare}/bin/python", "-m", "momentscope"], stderr=subprocess.PIPE, text=True, cwd=self.dir,
                           env={"MOMENTSCOPE_LIB": "/nowhere/libmomentscope.so", "PATH": os.environ["PATH"]})
        self.assertEqual(r.returncode, 1)
        self.assertIn("cannot load /nowhere/libmomentscope.so", r.stderr)
        self.assertIn("set MOMENTSCOPE_LIB", r.stderr)

    def test_pip_installs_the_tree_and_takes_all_away_again(self):
        at = self.environment("tree", "--without-pip")
        before = sorted(os.listdir(f"{at}/bin"))
        self.pip(at, "install", f"{ROOT}/host/python", BUILD=BUILD)
        self.assertRegex(self.python(at, BARE), r"^torch \d")
        self.assertEqual(sorted(os.listdir(f"{at}/bin")), sorted(before + ["momentscoped"]))
        self.pip(at, "uninstall", "-y", "momentscope")
        left = [f for _, _, files in os.walk(at) for f in files if "momentscope" in f.lower()]
        self.assertEqual(left, [])

    def test_an_editable_install_points_into_the_tree(self):
        at = self.environment("editable", "--without-pip")
        self.pip(at, "install", "-e", f"{ROOT}/host/python", BUILD=BUILD)
        said = self.python(at, "import momentscope; print(momentscope.__file__, momentscope.__version__)", BUILD=BUILD)
        self.assertRegex(said, rf"^{ROOT}/host/python/momentscope/__init__.py \d")

    def test_types_reach_the_user(self):
        if not shutil.which("mypy"):
            self.skipTest("mypy is not installed")
        path = f"{self.dir}/typed.py"
        with open(path, "w") as f:
            f.write(textwrap.dedent(TYPED))
        r = subprocess.run(["mypy", "--strict", "--python-executable", f"{self.bare}/bin/python", "--cache-dir=/dev/null",
                            "--ignore-missing-imports", path], stdout=subprocess.PIPE, text=True, cwd=self.dir)
        self.assertIn("typed.py:5: error: Incompatible types in assignment", r.stdout)
        self.assertEqual(r.stdout.count("error:"), 1, r.stdout)


if __name__ == "__main__":
    unittest.main()
