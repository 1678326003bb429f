"""How the product judges a problem: the Python client with a closure that can be halved, a daemon, and its record.

The problem stays at its theta: the rate of the optimizer is RATE times what is asked about. H is proportional to eta
at a given theta, so that H of the asked eta is the record's over RATE.
"""
import os
import sys
import warnings

import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
from client_support import Daemon, Listener
import momentscope

RATE = 1e-9
SCALED = ("H", "H_se", "H_power", "H_power_se", "H_tangent", "H_tangent_se")


def train(scope, model, optimizer, problem, size, steps, rng, now):
    for _ in range(steps):
        now["batch"] = problem.draw(size, rng)
        optimizer.zero_grad()
        model.loss(now["batch"]).backward()
        optimizer.step()
        scope.step()


class Product:
    """A fresh daemon for each observation."""

    def observe(self, problem, eta, eps, size, probes, seed=0):
        """The stability record after so many probes at the problem's theta, with H for this eta.

        size: samples in a batch. h_source says why H is None where it is.
        """
        model, now = problem.module(), {}
        optimizer = torch.optim.SGD(model.parameters(), lr=RATE * eta, momentum=1 - eps, dampening=1 - eps)

        def closure(half=None):
            return model.loss(now["batch"] if half is None else problem.half(now["batch"], half))

        with Daemon() as daemon:
            listener = Listener(daemon, "stability/")
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                scope = momentscope.attach(model, optimizer, endpoint=daemon.ingest, batch=size, probe_every=1,
                                           closure=closure)
                # the first step has no probe, and the first probe only finds where the directions start
                train(scope, model, optimizer, problem, size, probes + 2, np.random.default_rng(seed), now)
                scope.close(60)         # a busy machine is slow, not wrong
            last = lambda latest: any(r["step"] == probes + 2 for r in latest.values())
            if not listener.until(last, 60):
                raise RuntimeError(f"no stability record of step {probes + 2}: {listener.latest}")
            record = next(iter(listener.latest.values()))
            listener.close()
        return {**record, **{k: record[k] / RATE for k in SCALED if record[k] is not None}}
