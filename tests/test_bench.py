"""momentscope bench: same seed for any --jobs, killed sweeps resume, bad grids are refused, frozen is not dense."""
import json, math, os, re, resource, signal, subprocess, sys, tempfile, time, unittest

SCOPE = os.path.join(os.environ.get("BUILD", "build"), "momentscope")
SMALL = ["vocab-ls", "--grid", "rows=64", "--grid", "d=8", "--grid", "batch=16", "--quiet"]


def bench(*args, **kw):
    return subprocess.run([SCOPE, "bench", *args], capture_output=True, text=True, timeout=120, **kw)


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


class Bench(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.out = os.path.join(self.dir.name, "runs.jsonl")

    def tearDown(self):
        self.dir.cleanup()

    def test_any_number_of_jobs_gives_the_same_lines(self):
        sweep = ["run", *SMALL, "--schedules", "sgd,constant,wsd,dana-decaying,per-band-eta", "--grid", "eta=0.5,1",
                 "--semantics", "catchup,frozen", "--seeds", "2", "--steps", "200"]
        one = runs(bench(*sweep, "--jobs", "1").stdout)
        self.assertEqual(len(one), 5 * 2 * 2 * 2)
        self.assertEqual(one, runs(bench(*sweep, "--jobs", "3").stdout))

    def test_catch_up_equals_dense_and_frozen_does_not(self):
        got = runs(bench("run", *SMALL, "--schedules", "constant,nesterov,cosine,dana-constant", "--grid", "eps=0.05",
                         "--grid", "eta=0.8", "--semantics", "catchup,dense,frozen", "--steps", "300").stdout)
        for schedule in ("constant", "nesterov", "cosine", "dana-constant"):
            risk = {r["semantics"]: [b["end"] for b in r["bands"]] for r in got.values() if r["schedule"] == schedule}
            for a, b in zip(risk["catchup"], risk["dense"]):
                self.assertAlmostEqual(a / b, 1, delta=1e-7)
            rare = len(risk["dense"]) - 1
            self.assertGreater(abs(risk["frozen"][rare] / risk["dense"][rare] - 1), 1e-3, schedule)

    def test_the_authors_bigram_experiment(self):
        env = dict(os.environ, MOMENTSCOPE_TEXT=self.text(), OUT=self.dir.name, SCALE="machine", WORDS="32", D="4",
                   BATCHES="16 512", TOKENS="4000", SHORTEST="100", BETAS="0 0.9", ETAS="0.25,1,64", SEEDS="2",
                   REFERENCE_STEPS="300", PYTHON=sys.executable)
        first, again = (subprocess.run(["host/bench/bigram.sh", "--protocol", "authors"], capture_output=True, text=True,
                                       env=env, timeout=60) for _ in range(2))
        self.assertEqual((first.returncode, again.returncode), (0, 0), first.stderr + again.stderr)
        self.assertEqual(first.stdout, again.stdout)
        self.assertNotIn("6 runs, 6 to do", again.stderr)
        found = runs(read(self.out))
        self.assertEqual({r["rates"]["eta"] for r in found.values() if r["rates"]["eps"] == 0.1}, {4.75, 19, 1216})
        self.assertEqual({(r["params"]["batch"], r["steps"]) for r in found.values()}, {(16, 250), (512, 100)})
        reference = min(r["total"]["end"] for r in runs(read(os.path.join(self.dir.name, "reference.jsonl"))).values())
        self.assertIn(f"reference {reference:.4f} nats by Adam", first.stdout)
        line = re.search(rf"92 % of the gap closed: {math.log(32) - 0.92 * (math.log(32) - reference):.4f} nats\n.*\n"
                         r" +16 +(\S+ \S+) ", first.stdout)
        self.assertIsNotNone(line, first.stdout)
        wrong = subprocess.run(["host/bench/bigram.sh", "--protocol", "ours"], capture_output=True, text=True)
        self.assertEqual((wrong.returncode, "'ours', expected authors" in wrong.stderr), (2, True), wrong.stderr)

    def test_rules_that_divide_run_where_the_means_are_kept(self):
        names = "adam,adam-cosine,adana,dana-star"
        got = runs(bench("run", *SMALL, "--schedules", names, "--grid", "eta=0.02", "--semantics", "catchup,dense,frozen",
                         "--steps", "200").stdout)
        for name in names.split(","):
            risk = {r["semantics"]: r["total"]["end"] for r in got.values() if r["schedule"] == name}
            start = [r["total"]["start"] for r in got.values()][0]
            self.assertEqual(risk["catchup"], risk["dense"], name)
            self.assertNotEqual(risk["frozen"], risk["dense"], name)
            self.assertLess(risk["dense"], 0.8 * start, name)
        refused = bench("run", "uv", "--schedules", "sgd,adana")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("no schedule 'adana' here: uv keeps no running mean of g^2", refused.stderr)

    def text(self):
        import random
        r = random.Random(5)
        names = ["".join(r.choice("abcdefgh") for _ in range(6)) for _ in range(200)]
        path = os.path.join(self.dir.name, "text.txt")
        with open(path, "w") as f:
            f.write(" ".join(names[min(199, int(r.paretovariate(0.6)) - 1)] for _ in range(30000)))
        return path

    def test_the_bigram_protocol_goes_on_where_it_was(self):
        env = dict(os.environ, MOMENTSCOPE_TEXT=self.text(), OUT=self.dir.name, SIZE="--grid words=64 --grid d=8",
                   BATCHES="64", ETAS="1,4", REFERENCE_ETAS="4,1e6", REFERENCE_STEPS="60", SEEDS="1",
                   SCHEDULES="sgd,constant,cosine", STEPS="600")
        first, again = (subprocess.run(["host/bench/bigram.sh"], capture_output=True, text=True, env=env, timeout=60)
                        for _ in range(2))
        self.assertEqual((first.returncode, again.returncode), (0, 0), first.stderr + again.stderr)
        self.assertIn("6 runs, 6 to do", first.stderr)
        self.assertIn("6 runs, 0 to do", again.stderr)
        self.assertEqual(first.stdout, again.stdout)
        found = runs(read(self.out))
        nats = min(r["total"]["end"] for r in runs(read(os.path.join(self.dir.name, "reference.jsonl"))).values()
                   if r["total"]["end"] is not None)
        for run in found.values():
            uniform = math.log(64)
            self.assertAlmostEqual(run["total"]["target"], uniform - 0.92 * (uniform - nats), delta=1e-6)
        self.assertTrue(any(r["total"]["steps_to_target"] for r in found.values()))
        for name in ("plot-risk-1", "plot-heat"):
            for ending in ("png", "svg"):
                self.assertGreater(os.path.getsize(os.path.join(self.dir.name, f"{name}.{ending}")), 4000)

    def test_bigram_on_a_text_of_ours(self):
        path = self.text()
        got = runs(bench("run", "bigram", "--grid", "words=64", "--grid", "d=8", "--grid", "eta=2", "--grid", "eps=0.05",
                         "--semantics", "catchup,dense,frozen", "--steps", "150", "--quiet",
                         env=dict(os.environ, MOMENTSCOPE_TEXT=path)).stdout)
        end = {r["semantics"]: r["total"]["end"] for r in got.values()}
        self.assertAlmostEqual(end["catchup"], end["dense"], delta=1e-6)
        self.assertGreater(abs(end["frozen"] - end["dense"]), 1e-4)
        self.assertLess(end["dense"], got[next(iter(got))]["total"]["start"])
        whole = runs(bench("run", "bigram", "--grid", "words=64", "--grid", "d=8", "--grid", "eta=1", "--grid", "eps=0.3",
                           "--grid", "batch=0,16384", "--steps", "40", "--quiet",
                           env=dict(os.environ, MOMENTSCOPE_TEXT=path)).stdout)
        text, sampled = (r["total"] for r in sorted(whole.values(), key=lambda r: r["params"]["batch"]))
        self.assertLess(text["end"], 0.95 * text["start"])
        for a, b in zip(text["risk"], sampled["risk"]):            # the whole text is what large batches come close to
            self.assertAlmostEqual(a / b, 1, delta=0.002)
        missing = bench("run", "bigram", "--steps", "5", env=dict(os.environ, MOMENTSCOPE_TEXT="/nowhere/at/all"))
        self.assertEqual(missing.returncode, 1)

    def test_samples_agree_with_theory(self):
        got = runs(bench("run", "sparse-ls", "--grid", "rows=400", "--grid", "d=32", "--grid", "noise=0.5", "--grid",
                         "literal=0,1", "--grid", "eta=0.3", "--steps", "300", "--quiet", "--jobs", "2").stdout)
        self.assertEqual(len(got), 2)
        for run in got.values():
            self.assertAlmostEqual(run["total"]["end"] / run["total"]["theory"], 1, delta=0.1)

    def test_a_killed_sweep_goes_on_without_repeating_or_losing_a_run(self):
        sweep = ["run", *SMALL, "--grid", "eta=0.2:1:x6", "--seeds", "4", "--steps", "3000", "--jobs", "2"]
        whole = runs(bench(*sweep).stdout)
        child = subprocess.Popen([SCOPE, "bench", *sweep, "--out", self.out], stderr=subprocess.DEVNULL)
        for _ in range(2000):
            if os.path.exists(self.out) and os.path.getsize(self.out) > 0:
                break
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        child.wait()
        before = read(self.out)
        self.assertLess(before.count("\n"), 24, "the sweep was over before it could be killed")
        with open(self.out, "a") as f:
            f.write('{"key":"cut sho')                     # as a kill in the middle of a line would leave it
        self.assertEqual(bench(*sweep, "--out", self.out).returncode, 0)
        after = read(self.out)
        self.assertTrue(after.startswith(before))
        self.assertEqual(runs(after), whole)
        bench(*sweep, "--out", self.out)
        self.assertEqual(read(self.out), after)

    def test_bad_grids_are_refused_with_their_value(self):
        for args, said in [
            (["--grid", "eta=0.1,-3"], "'-3'"), (["--grid", "beta=1.5"], "'1.5'"), (["--grid", "rows=2.5"], "'2.5'"),
            (["--grid", "nosuch=1"], "nosuch"), (["--grid", "eta=1:0.1:x4"], "1:0.1:x4"), (["--grid", "eta=one"], "'one'"),
            (["--grid", "eta="], "''"), (["--grid", "d=0"], "'0'"), (["--schedules", "sgd,lion"], "'lion'"),
            (["--semantics", "melted"], "'melted'"), (["--seeds", "0"], "'0'"), (["--steps", "-1"], "'-1'"),
            (["--target", "2"], "'2'"), (["--jobs", "0"], "'0'"), (["--grid", "eta=1:2:x100000000"], "2 to 256"),
            (["--grid", "eta=1:2:x1"], "2 to 256"), (["--grid", "eta=1:2:+4294967299"], "2 to 256"), (["--grid", "eta=2:1:x4"], "LOW is not"),
            (["--grid", "noise=0:1:x4"], "above 0"),
        ]:
            got = bench("run", "vocab-ls", *args)
            self.assertEqual((got.returncode, got.stdout), (2, ""), args)
            self.assertIn(said, got.stderr)
        self.assertEqual(bench("run", "nothing").returncode, 2)

    def test_what_is_named_twice_runs_once(self):
        got = bench("run", *SMALL, "--grid", "eta=1,1,1.0000000000000001", "--grid", "beta=0.9,0.9", "--grid", "noise=-0,0",
                    "--schedules", "constant,constant", "--semantics", "dense,dense", "--steps", "20")
        self.assertEqual(len(runs(got.stdout)), 1)                     # runs: no key twice
        whole = bench("run", "vocab-ls", "--grid", "rows=8:10:+5", "--steps", "5", "--quiet")
        self.assertEqual(sorted(r["params"]["rows"] for r in runs(whole.stdout).values()), [8, 9, 10])
        for twice, said in [(["--grid", "eta=1", "--grid", "eta=2"], "eta"), (["--grid", "eps=0.1", "--grid", "beta=0.5"], "beta"),
                            (["--grid", "d=8", "--grid", "d=16"], "d is given"), (["--semantics", "dense"] * 2, "--semantics"),
                            (["--schedules", "sgd", "--schedules", "constant"], "--schedules")]:
            got = bench("run", "vocab-ls", *twice)
            self.assertEqual((got.returncode, got.stdout), (2, ""), twice)
            self.assertIn("twice", got.stderr)
            self.assertIn(said, got.stderr)

    def test_compare_counts_a_run_once_and_refuses_files_without(self):
        bench("run", *SMALL, "--grid", "eta=1", "--seeds", "4", "--steps", "2000", "--out", self.out)
        once, twice = bench("compare", self.out), bench("compare", self.out, self.out)
        self.assertIn("(4 seeds)", once.stdout)
        self.assertEqual((twice.returncode, twice.stdout), (0, once.stdout))
        self.assertIn("4 of 8 lines repeat", twice.stderr)
        single = os.path.join(self.dir.name, "single.jsonl")
        with open(single, "w") as f:
            f.write(read(self.out).splitlines()[0] + "\n")
        alone = bench("compare", single).stdout
        self.assertNotIn("nan", alone)
        self.assertRegex(alone, r"all +[0-9.]+ \[-\]")
        for nothing in ("/dev/null", SCOPE):
            got = bench("compare", nothing)
            self.assertEqual((got.returncode, got.stdout), (1, ""), got.stderr)
            self.assertIn(nothing + " holds no run", got.stderr)
        self.assertEqual(bench("compare", self.dir.name).returncode, 1)

    def test_a_full_disk_is_told(self):
        bench("run", *SMALL, "--steps", "50", "--out", self.out)
        for args in (["list"], ["compare", self.out], ["run", *SMALL, "--steps", "5"]):
            with open("/dev/full", "w") as full:
                got = subprocess.run([SCOPE, "bench", *args], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(got.returncode, 1, args)
            self.assertIn("No space left", got.stderr)

    def test_a_sweep_stops_at_the_first_line_it_cannot_write(self):
        sweep = ["run", *SMALL, "--grid", "eta=0.2:1:x6", "--seeds", "4", "--steps", "100", "--out", self.out]
        size = len(bench(*sweep[:-2]).stdout) // 24
        for jobs in ("1", "2"):
            if os.path.exists(self.out):
                os.remove(self.out)
            got = bench(*sweep, "--jobs", jobs, restore_signals=False,       # SIGXFSZ stays ignored: a write fails instead
                        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3 * size, 3 * size)))
            self.assertEqual(got.returncode, 1)
            self.assertEqual(got.stderr.count("File too large"), 1, got.stderr)
            self.assertRegex(got.stderr, "stopped after [23] of 24 runs")
            self.assertNotIn("failed", got.stderr)
            self.assertEqual(bench(*sweep, "--jobs", jobs).returncode, 0)
            self.assertEqual(len(runs(read(self.out))), 24)

    def test_compare_tables_and_plots(self):
        bench("run", *SMALL, "--schedules", "sgd,constant", "--grid", "eta=0.5,1,2", "--grid", "eps=0.1,0.5", "--seeds",
              "3", "--steps", "2000", "--jobs", "2", "--out", self.out)
        prefix = os.path.join(self.dir.name, "plot")
        got = bench("compare", "--plot", prefix, self.out)
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertIn("vocab-ls, constant, catchup", got.stdout)
        for name in ("risk-1", "plane-1", "heat"):
            self.assertGreater(os.path.getsize(f"{prefix}-{name}.png"), 4000)
        self.assertEqual(bench("compare", self.out + ".missing").returncode, 1)

    def test_compare_keeps_problems_apart_and_names_what_varies(self):
        def titles(*options):
            return re.findall(r"(?m)^ *[0-9]+ (.+) [(]", bench("compare", *options, self.out).stdout)
        bench("run", "gmm", "--grid", "alpha=0.1,0.2", "--steps", "20", "--out", self.out)
        self.assertEqual([t.rsplit(", ", 1)[1] for t in titles()], ["alpha=0.1", "alpha=0.2"])
        os.remove(self.out)
        bench("run", *SMALL, "--schedules", "dana-constant", "--grid", "dana_alpha=1,2", "--grid", "noise=0,0.1",
              "--steps", "50", "--out", self.out)
        self.assertEqual(len(titles()), 2, "one for each noise")
        every = titles("--all")
        self.assertEqual(len(set(every)), 4, every)
        for title in every:
            self.assertRegex(title, "dana_alpha=[12], noise=0")
            self.assertNotIn("zeta", title)

    def test_curves_reach_the_end(self):
        for steps in (63, 64, 65, 127, 128, 191, 1000):
            bench("run", *SMALL, "--grid", "eta=0.5", "--steps", str(steps), "--every", "1", "--out", self.out)
            (run,) = runs(read(self.out)).values()
            os.remove(self.out)
            t = run["t"]
            self.assertEqual((t[0], t[-1]), (0, steps))
            self.assertLessEqual(len(t), 66)
            self.assertLessEqual(max(b - a for a, b in zip(t, t[1:])), -(-steps // 64))
            self.assertEqual(run["total"]["risk"][-1], run["total"]["end"])

    def test_a_heat_map_shows_one_problem_and_titles_say_which(self):
        bench("run", *SMALL, "--schedules", "constant", "--grid", "eta=0.5,1,2", "--grid", "eps=0.1,0.5", "--grid",
              "noise=0,0.1", "--steps", "50", "--out", self.out)
        prefix = os.path.join(self.dir.name, "plot")
        got = bench("compare", "--all", "--svg", "--plot", prefix, self.out)
        self.assertEqual(got.returncode, 0, got.stderr)
        borders = re.findall(r'stroke="rgb\(100%, 100%, 100%\)"|stroke:rgb\(100%,100%,100%\)', read(f"{prefix}-heat.svg"))
        self.assertEqual(len(borders), 6, "the cells of 3 eta and 2 eps, of one noise")

    def test_claims_are_told_with_a_verdict_each(self):
        got = bench("reproduce", "--paper", "000", "--figure", "Table 4")
        lines = got.stdout.splitlines()
        self.assertEqual(got.returncode, 0, got.stdout)
        self.assertEqual(lines[-1], "3 pass, 0 fail, 3 corrected, of 6")
        later = bench("reproduce", "--paper", "000b", "--strict", "--json")
        verdicts = {r["figure"] + ": " + r["claim"]: r["verdict"] for r in map(json.loads, later.stdout.splitlines())}
        self.assertEqual((later.returncode, len(verdicts), set(verdicts.values())), (0, 25, {"PASS"}), verdicts)
        self.assertEqual(bench("reproduce", "--figure", "Figure 999").returncode, 2)
        self.assertEqual(bench("reproduce", "--paper", "000", "--figure", "Figure 1").returncode, 2, "Figure 10 is another")
        self.assertEqual(bench("reproduce", "--paper", "000", "--figure", "able 4").returncode, 2)
        strict = bench("reproduce", "--paper", "000", "--figure", "Table 4", "--strict")
        self.assertEqual(strict.returncode, 0, "nothing failed: --strict changes nothing (test_reproduce.c has the rest)")
        self.assertIn("sparse-ls", bench("list").stdout)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + [a for a in sys.argv[1:]])
