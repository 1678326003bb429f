#!/usr/bin/env python3
"""scope.follow: nothing changes without it, it climbs from a rate far too low and comes down from one far too high, it
steps back when loss, momentum or H say so, and it stops where somebody else sets the rate."""
import logging
import math
import types
import unittest

import client_support
import torch
import momentscope
from momentscope import follow

ROWS, DIM, SIZE, BETA = 300, 8, 32, 0.9


def setUpModule():
    torch.set_num_threads(1)
    logging.getLogger("momentscope").setLevel(logging.CRITICAL)


class Loop:
    """Rows of a Zipf law learn targets of their own, with some label noise; times: a factor of the loss."""

    number = 0

    def __init__(self, lr, sparse=True, seed=1, optimizer=None, endpoint="ipc:///tmp/momentscope-nobody", **options):
        torch.manual_seed(seed)
        Loop.number += 1
        self.table = torch.nn.Embedding(ROWS, DIM, sparse=sparse)
        self.goal = 2 * torch.randn(ROWS, DIM)
        self.often = 1.0 / torch.arange(1, ROWS + 1)
        self.random = torch.Generator().manual_seed(seed)
        self.optimizer = (optimizer or momentscope.optim.SGD)(self.table.parameters(), lr=lr, momentum=BETA)
        self.times, self.losses = 1.0, []
        options = {"probe_every": 4, "closure": self.closure, **options}
        self.scope = momentscope.attach(self.table, self.optimizer, endpoint, name="follow",
                                        prefix=f"l{Loop.number}-", **options)

    def closure(self, half=None):
        x, noise = (t if half is None else t[half::2] for t in self.batch)
        return self.times * 0.5 * (self.table(x) - self.goal[x] - noise).square().sum(1).mean()

    def run(self, steps, tell=True):
        for _ in range(steps):
            x = torch.multinomial(self.often, SIZE, True, generator=self.random)
            self.batch = x, 0.3 * torch.randn(SIZE, DIM, generator=self.random)
            self.optimizer.zero_grad()
            loss = self.closure()
            loss.backward()
            self.optimizer.step()
            self.losses.append(float(loss))
            self.scope.step(loss=self.losses[-1] if tell else None)

    def end(self, n=40):
        return sum(self.losses[-n:]) / n


class Live(unittest.TestCase):
    def loop(self, *args, **options):
        loop = Loop(*args, **options)
        self.addCleanup(loop.scope.close, 0)
        return loop

    def test_without_it_every_bit_is_the_same(self):
        plain = self.loop(0.3, False, optimizer=torch.optim.SGD, probe_every=0, closure=None)
        plain.run(120)
        watched = self.loop(0.3, False, optimizer=torch.optim.SGD)
        watched.run(120)
        self.assertTrue(torch.equal(plain.table.weight, watched.table.weight))
        self.assertEqual(watched.optimizer.param_groups[0]["lr"], 0.3)

    def test_from_a_rate_thirty_times_too_low(self):
        for sparse in (True, False):
            best = min(end for end in (self.constant(lr, sparse) for lr in (0.1, 0.2, 0.4, 0.8, 1.6)))
            low = self.loop(0.8 / 30, sparse)
            low.scope.follow(steps=800)
            low.run(800)
            alone = self.constant(0.8 / 30, sparse)
            self.assertLess(low.end(), 1.05 * best, low.scope.follower.moves)
            self.assertGreater(alone, 1.5 * best)

    def constant(self, lr, sparse):
        loop = self.loop(lr, sparse, probe_every=0, closure=None)
        loop.run(800)
        return loop.end() if math.isfinite(loop.end()) else math.inf

    def test_two_runs_are_the_same_in_every_bit(self):
        runs = [self.loop(0.05), self.loop(0.05)]
        for loop in runs:
            loop.scope.follow()
            loop.run(250)
        self.assertGreater(len(runs[0].scope.follower.moves), 2)
        self.assertEqual(*[loop.scope.follower.moves for loop in runs])
        self.assertTrue(torch.equal(runs[0].table.weight, runs[1].table.weight))

    def test_it_steps_back_when_the_loss_is_made_steeper(self):
        """Curvature times 30 in the middle of a run: without follow it is ruined, with it the loss comes back."""
        left = self.loop(0.6, probe_every=0, closure=None)
        left.run(500)
        left.times = 30.0
        left.run(300)
        self.assertFalse(left.end() < 30 * left.losses[0])
        loop, told = self.loop(0.6), []
        loop.scope.follow(on_move=told.append)
        loop.run(500)
        before, loop.times = loop.end(), 30.0
        loop.run(300)
        back = [m for m in told if m["step"] > 500 and m["factor"] < 1]
        self.assertTrue(back, told)
        self.assertLess(back[0]["step"], 520)
        self.assertIn("loss", back[0]["why"])
        self.assertLess(loop.end() / 30, 2 * before)
        self.assertEqual(told, loop.scope.follower.moves)

    def test_weights_of_before_a_step_up_come_back(self):
        """The loss becomes steep right after a step up. Weights and momenta are those of before it, bit for bit, and the
        daemon's copy is exact again."""
        for optimizer, sparse in ((momentscope.optim.SGD, True), (torch.optim.SGD, False)):
            with client_support.Daemon() as daemon:
                loop = self.loop(0.05, sparse, optimizer=optimizer, endpoint=daemon.ingest)
                loop.scope.follow()
                kept, steps = [], 0
                while len(kept) < 4:
                    loop.run(1)
                    steps += 1
                    if len(loop.scope.follower.moves) > len(kept):
                        buffer = loop.optimizer.state[loop.table.weight]["momentum_buffer"]
                        kept.append((loop.table.weight.detach().clone(), buffer.detach().clone()))
                    self.assertLess(steps, 400)
                loop.times = 1e4
                while loop.scope.follower.moves[-1]["factor"] > 1:
                    loop.run(1)
                move = loop.scope.follower.moves[-1]
                self.assertIn("weights as before the last step up", move["why"])
                self.assertTrue(torch.equal(loop.table.weight, kept[-1][0]))
                self.assertTrue(torch.equal(loop.optimizer.state[loop.table.weight]["momentum_buffer"], kept[-1][1]))
                loop.times = 1.0
                loop.run(5)
                self.assertTrue(loop.scope.flush(10))

    def test_the_rate_halves_towards_a_known_end(self):
        loop = self.loop(0.3)
        loop.scope.follow(steps=400)
        loop.run(400)
        end = [m for m in loop.scope.follower.moves if "are left" in m["why"]]
        self.assertTrue(all(0 <= m["step"] - k <= 1 for m, k in zip(end, (280, 340, 370, 385), strict=True)), end)
        self.assertTrue(all(m["factor"] == 0.5 for m in end))

    def test_the_closure_s_loss_stands_in(self):
        loop = self.loop(0.05)
        loop.scope.follow()
        loop.run(200, tell=False)
        self.assertTrue(any(m["factor"] == 2 for m in loop.scope.follower.moves))
        self.assertGreater(len(loop.scope.follower.before.losses), 2)

    def test_a_scheduler_s_rate_is_left_alone(self):
        loop = self.loop(0.05)
        loop.scope.follow()
        loop.run(100)
        loop.optimizer.param_groups[0]["lr"] = 0.0123
        loop.run(100)
        self.assertEqual(loop.optimizer.param_groups[0]["lr"], 0.0123)
        self.assertIn("somebody else has set 0.0123", loop.scope.follower.moves[-1]["why"])

    def test_stop_and_refusals(self):
        loop = self.loop(0.05)
        follower = loop.scope.follow()
        follower.stop()
        loop.run(150)
        self.assertEqual((loop.optimizer.param_groups[0]["lr"], follower.moves), (0.05, []))
        for words, arguments in (("steps = 0 .an integer", {"steps": 0}), ("steps = 'x'", {"steps": "x"}),
                                 ("on_move = 7", {"on_move": 7})):
            with self.assertRaisesRegex((ValueError, TypeError), words):
                loop.scope.follow(**arguments)
        adam = torch.optim.Adam(loop.table.parameters())
        with momentscope.attach(loop.table, adam, "ipc:///tmp/momentscope-nobody", prefix="adam-") as scope:
            with self.assertRaisesRegex(ValueError, "trained by Adam, which is read and not followed"):
                scope.follow()
        with self.assertRaisesRegex(ValueError, "probe_every = 0 .1 or more.: follow needs the probe"):
            self.loop(0.05, probe_every=0, closure=None).scope.follow()


class Rules(unittest.TestCase):
    """The rules one by one, on a stand-in for the scope."""

    def follower(self, lr=1.0, **options):
        group = {"lr": lr, "momentum": 0.5, "dampening": 0.0, "params": []}      # stages of 20 steps
        self.group = group
        scope = types.SimpleNamespace(steps=0, note=lambda text: None, probing=types.SimpleNamespace(every=1),
                                      optimizer=types.SimpleNamespace(param_groups=[group], state={}),
                                      tables=[types.SimpleNamespace(group=group, rule=None)])
        return follow.Follower(scope, **options)

    def feed(self, f, losses, H=None, momentum=1.0):
        """Products that mean this H at the present rate."""
        for k, loss in enumerate(losses):
            f.scope.steps += 1
            eta = self.group["lr"] / 0.5
            noise = 2 * H / eta if H is not None else 0.0
            f.after(loss, {"along": k % 2, "curvature": 1.0, "product": 0.0, "noise": noise} if H is not None else None,
                    momentum)

    def flat(self, n, mean=1.0):
        return [mean + 0.01 * (-1) ** k for k in range(n)]

    def test_nothing_moves_before_the_first_products(self):
        f = self.follower()
        self.feed(f, self.flat(200))
        self.assertEqual(f.moves, [])

    def test_up_while_H_allows_it(self):
        f = self.follower()
        self.feed(f, self.flat(21), H=0.24)
        self.assertEqual([m["factor"] for m in f.moves], [2.0])
        f = self.follower()
        self.feed(f, self.flat(100), H=0.26)
        self.assertEqual(f.moves, [])

    def test_H_alone_takes_nothing_back_and_with_growth_does(self):
        f = self.follower()
        self.feed(f, self.flat(20), H=0.4)
        self.feed(f, self.flat(20), H=3)
        self.assertEqual(f.moves, [])
        f = self.follower()
        self.feed(f, self.flat(20), H=0.4)
        self.feed(f, self.flat(20), H=3, momentum=1.5)
        self.assertEqual([(m["factor"], m["why"]) for m in f.moves][0][0], 0.5)
        self.assertIn("the momentum rises", f.moves[0]["why"])

    def test_loss_and_momentum_take_back(self):
        f = self.follower()
        self.feed(f, self.flat(20), H=0.4)
        self.feed(f, self.flat(20, 1.012), H=0.4)
        self.assertIn("standard errors up", f.moves[0]["why"])
        f = self.follower()
        self.feed(f, self.flat(20), H=0.4)
        self.feed(f, self.flat(20), H=0.4, momentum=5)
        self.assertIn("momentum has grown 5 times", f.moves[0]["why"])

    def test_at_once_when_much_is_lost_or_nothing_is_finite(self):
        f = self.follower()
        self.feed(f, self.flat(20) + self.flat(10, 2.0), H=0.4)
        self.assertEqual([(m["step"] <= 30, m["factor"]) for m in f.moves], [(True, 0.25)])
        self.feed(f, self.flat(3, 40.0), H=0.4)                  # and it goes on
        self.assertEqual(len(f.moves), 2)
        f = self.follower()
        self.feed(f, [1.0, math.nan])
        self.assertEqual((f.moves[0]["factor"], f.moves[0]["why"]), (0.25, "the loss is nan"))

    def test_where_H_is_not_believed_only_a_falling_loss_takes_up(self):
        f = self.follower()
        self.feed(f, [3 - 0.1 * k for k in range(20)] + self.flat(40), H=0.3)
        self.feed(f, self.flat(120), H=3)
        self.assertEqual(f.moves, [])
        f = self.follower()
        self.feed(f, [3 - 0.01 * k for k in range(100)], H=3)
        self.assertEqual([m["factor"] for m in f.moves][:1], [2.0])

    def test_a_rate_that_failed_is_a_ceiling_for_a_while(self):
        f = self.follower()
        self.feed(f, self.flat(20), H=0.4)
        self.feed(f, self.flat(20, 1.012), H=0.4)
        self.assertEqual(self.group["lr"], 0.5)
        self.feed(f, self.flat(20 * (follow.HOLD - 1)), H=0.1)
        self.assertEqual(self.group["lr"], 0.5)
        self.feed(f, self.flat(20), H=0.1)
        self.assertEqual(self.group["lr"], 1.0)

    def test_a_plateau_after_a_gain_takes_down_for_good(self):
        f = self.follower()
        self.feed(f, [3 - 0.02 * k for k in range(100)] + self.flat(20 * (follow.PLATEAU + 2)), H=0.3)
        self.assertEqual([m["factor"] for m in f.moves], [0.5])
        self.feed(f, self.flat(60), H=0.01)
        self.assertEqual(len(f.moves), 1)
        f = self.follower()                                      # a saddle: nothing was gained
        self.feed(f, self.flat(20 * (follow.PLATEAU + 5)), H=0.3)
        self.assertEqual(f.moves, [])


if __name__ == "__main__":
    unittest.main()
