"""momentscope bench under mpirun: the same lines for any number of ranks, one voice, nothing lost or repeated by a kill."""
import fcntl, json, os, re, shutil, signal, subprocess, sys, tempfile, time, unittest

BUILD = os.environ.get("BUILD", "build")
SCOPE = os.path.join(BUILD, "momentscope")
MPIRUN = shutil.which("mpirun")
WHY_NOT = None if MPIRUN and os.path.exists(os.path.join(BUILD, "momentscope_mpi.so")) else "no MPI here (libopenmpi-dev, openmpi-bin)"

# What Open MPI wants to be told as root, on few cores and in a container.
ENV = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_rmaps_base_oversubscribe="1",
           OMPI_MCA_btl_vader_single_copy_mechanism="none", OMPI_MCA_plm_rsh_agent="false")
SMALL = ["vocab-ls", "--grid", "rows=64", "--grid", "d=8", "--grid", "batch=16"]
SWEEP = ["run", *SMALL, "--grid", "eta=0.2:1:x6", "--seeds", "4", "--steps", "15000"]


def ranks(n, *args, scope=SCOPE):
    return ([MPIRUN, "-n", str(n)] if n else []) + [scope, "bench", *args]


def bench(n, *args, scope=SCOPE):
    return subprocess.run(ranks(n, *args, scope=scope), capture_output=True, text=True, timeout=120, env=ENV)


def read(path):
    with open(path) as f:
        return f.read()


def runs(text):
    """Lines by key, without the one field that depends on the machine's mood."""
    out = {}
    for line in text.splitlines():
        run = json.loads(line)
        run.pop("seconds")
        assert run["key"] not in out, "a run twice: " + run["key"]
        out[run["key"]] = run
    return out


def pid_of(mpirun, rank):
    """The process that mpirun started as this rank; not what that has forked."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                parent = int(f.read().rsplit(")", 1)[1].split()[1])
            with open(f"/proc/{pid}/environ") as f:
                if parent == mpirun and f"OMPI_COMM_WORLD_RANK={rank}\0" in f.read():
                    return int(pid)
        except (OSError, ValueError):
            pass
    raise AssertionError(f"no rank {rank} under {mpirun}")


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Ranks(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.out = os.path.join(self.dir.name, "runs.jsonl")

    def tearDown(self):
        self.dir.cleanup()

    def test_any_number_of_ranks_gives_the_same_lines(self):
        sweep = ["run", *SMALL, "--schedules", "sgd,constant,wsd,per-band-eta", "--grid", "eta=0.5,1", "--semantics",
                 "catchup,frozen", "--seeds", "2", "--steps", "200", "--quiet"]
        one = runs(bench(0, *sweep, "--jobs", "1").stdout)
        self.assertEqual(len(one), 4 * 2 * 2 * 2)
        self.assertEqual(one, runs(bench(0, *sweep, "--jobs", "2").stdout))
        for n, jobs in ((1, 2), (2, 1), (2, 2), (3, 1), (5, 1)):
            got = bench(n, *sweep, "--jobs", str(jobs))
            self.assertEqual(got.returncode, 0, got.stderr)
            self.assertEqual(one, runs(got.stdout), f"{n} ranks, {jobs} jobs")

    def test_one_voice(self):
        got = bench(3, *SWEEP, "--out", self.out)
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertEqual(got.stderr.count("24 runs, 24 to do"), 1, got.stderr)
        told = [int(n) for n in re.findall(r"^(\d+) of 24 runs, \d+ s, \d+ s to go$", got.stderr, re.M)]
        self.assertEqual(told, sorted(set(told)), got.stderr)
        self.assertEqual(told[-1], 24)
        self.assertEqual(len(runs(read(self.out))), 24)
        again = bench(3, *SWEEP, "--out", self.out)
        self.assertEqual((again.returncode, again.stderr.count("24 runs, 0 to do")), (0, 1), again.stderr)
        for args, said in ((["run", *SMALL, "--grid", "eta=-3"], "'-3'"), (["run", "nothing"], "nothing"),
                           (["run", "--help"], "usage:"), (["reproduce", "--figure", "999"], "no claim has")):
            got = bench(2, *args)
            self.assertEqual(got.returncode, 0 if said == "usage:" else 2)
            self.assertEqual((got.stdout + got.stderr).count(said), 1, got.stdout + got.stderr)

    def killed(self, whom):
        """A sweep, a kill in the middle of it, and the same command again: each run once, as if nothing had happened."""
        child = subprocess.Popen(ranks(3, *SWEEP, "--out", self.out), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True, env=ENV)
        for _ in range(4000):
            if os.path.exists(self.out) and os.path.getsize(self.out) > 0:
                break
            time.sleep(0.005)
        whom(child.pid)
        said = child.communicate(timeout=60)[1]
        self.assertNotEqual(child.returncode, 0)
        with open(self.out, "a") as f:
            fcntl.flock(f, fcntl.LOCK_EX)                  # ranks may outlive a killed mpirun for a moment
            before = read(self.out)
            f.write('{"key":"cut sho')                     # as a kill in the middle of a line would leave it
        self.assertLess(before.count("\n"), 24, "the sweep was over before it could be killed")
        got = bench(2, *SWEEP, "--quiet", "--out", self.out)
        self.assertEqual(got.returncode, 0, got.stderr)
        after = read(self.out)
        self.assertTrue(after.startswith(before))
        self.assertEqual(runs(after), self.whole)
        return said

    def test_kills_leave_a_file_to_go_on_with(self):
        self.whole = runs(bench(0, *SWEEP, "--jobs", "2", "--quiet").stdout)
        self.assertEqual(len(self.whole), 24)
        for name, whom in (("rank 1", lambda mpirun: os.kill(pid_of(mpirun, 1), signal.SIGKILL)),
                           ("rank 0", lambda mpirun: os.kill(pid_of(mpirun, 0), signal.SIGKILL)),
                           ("rank 2 told to end", lambda mpirun: os.kill(pid_of(mpirun, 2), signal.SIGTERM)),
                           ("mpirun", lambda mpirun: os.kill(mpirun, signal.SIGKILL)),
                           ("the user", lambda mpirun: os.kill(mpirun, signal.SIGINT))):
            with self.subTest(name):
                if os.path.exists(self.out):
                    os.unlink(self.out)
                said = self.killed(whom)
                if name == "rank 2 told to end":           # a stopped mpirun passes no words on any more
                    self.assertEqual(len(re.findall(r"interrupted after \d+ of 24 runs", said)), 1, said)
                self.assertNotIn("failed: ", said)

    def test_ranks_with_other_work_are_refused(self):
        got = subprocess.run(ranks(1, *SWEEP, "--out", self.out) + [":", "-n", "1", SCOPE, "bench", "run", *SMALL],
                             capture_output=True, text=True, timeout=60, env=ENV)
        self.assertEqual(got.returncode, 1, got.stderr)
        self.assertEqual(got.stderr.count("rank 1 has other work"), 1, got.stderr)
        self.assertEqual(read(self.out), "")

    def test_a_program_without_the_object_refuses_once_and_needs_no_mpi(self):
        libraries = subprocess.run(["ldd", SCOPE], capture_output=True, text=True).stdout
        self.assertIn("libgsl", libraries)
        self.assertNotIn("libmpi", libraries)
        bare = shutil.copy(SCOPE, self.dir.name)
        got = bench(2, *SWEEP, scope=bare)
        self.assertEqual((got.returncode, got.stdout), (1, ""))
        self.assertEqual(got.stderr.count("built without MPI"), 1, got.stderr)
        self.assertEqual(len(runs(bench(1, *SWEEP, "--quiet", scope=bare).stdout)), 24)

    def test_claims(self):
        def rows(text):
            return [re.sub(r" \([\d.]+ s\)$", "", line) for line in text.splitlines()]

        alone, two = (bench(n, "reproduce", "--paper", "000", "--figure", "Table 4") for n in (0, 2))
        self.assertEqual(two.returncode, 0, two.stderr)
        self.assertEqual(len(rows(two.stdout)), 7)
        self.assertEqual(rows(alone.stdout), rows(two.stdout))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + [a for a in sys.argv[1:]])
