"""What the examples share: their options, and the bands of every table as the daemon published them last."""
import argparse
import time

import momentscope


def options(about, steps):
    """The command line: --steps and --seed."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=steps, help="training steps (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    return parser


class Loss:
    """A running mean over about 100 steps, told now and then."""

    def __init__(self, steps):
        self.steps, self.mean = steps, None

    def note(self, step, loss):
        self.mean = loss if self.mean is None else self.mean + 0.01 * (loss - self.mean)
        if step % max(1, self.steps // 4) == 0 or step == self.steps - 1:
            print(f"step {step}: loss {self.mean:.3f}")


class Bands:
    """Listens from before the training on; show() prints the latest record of each band of these tables."""

    def __init__(self, *tables):
        self.subscriber, self.latest, self.tables = momentscope.Subscriber(prefix="band/"), {}, tables

    def listen(self, seconds=0.0):
        end = time.monotonic() + seconds
        while True:
            got = self.subscriber.next(max(0.0, min(0.2, end - time.monotonic())))
            if got is not None and got[1]["table"] in self.tables:
                self.latest[got[0]] = got[1]
            if got is None and time.monotonic() >= end:
                return

    def show(self):
        self.listen(1.5)                     # the daemon publishes once a second
        self.subscriber.close()
        if not self.latest:
            print("nothing was heard: start momentscoped in another terminal, and run this again")
            return
        print(f"{'table':24} {'band':>4} {'p':>9} {'rows':>6} {'updates':>8} {'retention':>9}")
        for record in sorted(self.latest.values(), key=lambda r: (r["table"], r["band"])):
            if record["rows"]:
                print(f"{record['table']:24} {record['band']:4} {record['p']:9.3g} {record['rows']:6} "
                      f"{record['updates']:8} {record['retention']:9.3g}")
        print("retention: for how many of its own updates a row's momentum remembers; at 1 it is plain SGD")
        print("momentscope check has a verdict for each band")
