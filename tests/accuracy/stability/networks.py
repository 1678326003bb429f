"""Seven small networks on real text that are not quadratic, each trained for a while and frozen there.

    frozen     softmax of the next word, readout fixed          cbow     the middle of five words, readout trained
    bigram     the same, readout trained                        mlp      two layers on three embeddings
    tied       readout = embedding                              sgns     skip-gram, five negative samples
    linear2    two layers without softmax, squared error

theta is one vector with a leading dimension of replicas, so that a population of tangents is one pass; module() is the
same network as the product sees it.
"""
import numpy as np
import torch

from problems import tokens

KINDS = ("frozen", "bigram", "cbow", "tied", "linear2", "mlp", "sgns")
STATES = {"early": (100, 1.0), "late": (1500, 0.1)}      # steps of training, and what the rate falls to
SAMPLES, HIDDEN, NEGATIVES = 1000, 12, 5
PLACES = {"cbow": ((0, 1, 3, 4), 2), "mlp": ((0, 1, 2), 3)}   # words that are read, word that is told


def rows(E, ids):
    """E[replica, ids[replica]]"""
    flat = ids.reshape(len(E), -1, 1).expand(-1, -1, E.shape[2])
    return torch.gather(E, 1, flat).reshape(*ids.shape, E.shape[2])


class Network:
    def __init__(self, kind, corpus, seed, width=6):
        self.kind, self.V, self.width = kind, 64 if kind == "frozen" else 48, width
        torch_random = torch.Generator().manual_seed(seed)
        normal = lambda *shape: torch.randn(*shape, generator=torch_random, dtype=torch.float64)
        text = torch.from_numpy(tokens(corpus, self.V))
        start = int(np.random.default_rng(seed).integers(0, len(text) - 8 - SAMPLES))
        self.text = text[start:start + SAMPLES + 8]
        counts = torch.bincount(text, minlength=self.V).double() ** 0.75
        self.negatives = (counts / counts.sum()).numpy()
        first = {"E": normal(self.V, width) * (0.4 if kind == "tied" else 0.5)}
        if kind in ("bigram", "cbow", "linear2"):
            first["W"] = normal(width, self.V) * 0.5
        if kind == "mlp":
            first.update(A=normal(3 * width, HIDDEN) / (3 * width) ** 0.5, W=normal(HIDDEN, self.V) * 0.5)
        if kind == "sgns":
            first["W"] = normal(self.V, width) * 0.1
        self.fixed = normal(width, self.V) if kind == "frozen" else None
        self.shapes = {name: w.shape for name, w in first.items()}
        self.theta = torch.cat([w.reshape(-1) for w in first.values()])

    def draw(self, size, rng, replicas=1):
        at = torch.from_numpy(rng.integers(0, SAMPLES, (replicas, size)))
        if self.kind != "sgns":
            return (at,)
        return at, torch.from_numpy(rng.choice(self.V, size=(replicas, size, NEGATIVES), p=self.negatives))

    @staticmethod
    def half(batch, k):
        return tuple(x[:, k::2] for x in batch)

    def weights(self, theta):
        """{name: (replicas, ..)} of (replicas, n)"""
        parts = torch.split(theta, [int(np.prod(s)) for s in self.shapes.values()], dim=1)
        return {name: p.reshape(-1, *s) for (name, s), p in zip(self.shapes.items(), parts)}

    def loss(self, w, batch, look=rows):
        """(replicas,) mean loss of each replica's own batch."""
        at, t = batch[0], self.text
        if self.kind == "sgns":
            x = look(w["E"], t[at])
            right = (x * rows(w["W"], t[at + 1])).sum(-1)
            wrong = (x.unsqueeze(2) * rows(w["W"], batch[1])).sum(-1)
            score = torch.nn.functional.logsigmoid
            return -(score(right) + score(-wrong).sum(-1)).mean(1)
        read, told = PLACES.get(self.kind, ((0,), 1))
        x = look(w["E"], torch.stack([t[at + k] for k in read], -1))
        if self.kind == "mlp":
            x = torch.tanh(x.reshape(*at.shape, -1) @ w["A"])
        else:
            x = x.mean(2)
        z = x @ (self.fixed if self.fixed is not None else w["E"].transpose(1, 2) if self.kind == "tied" else w["W"])
        right = torch.gather(z, 2, t[at + told].unsqueeze(-1)).squeeze(-1)
        if self.kind == "linear2":
            return 0.5 * ((z ** 2).sum(-1) - 2 * right + 1).mean(1)
        return (torch.logsumexp(z, -1) - right).mean(1)

    def gradient(self, theta, batch, graph=False):
        theta = theta.detach().requires_grad_(True)
        g = torch.autograd.grad(self.loss(self.weights(theta), batch).sum(), theta, create_graph=graph)[0]
        return (theta, g) if graph else g

    def times(self, theta, batch, v):
        """H_b v, each replica with its own batch."""
        at, g = self.gradient(theta, batch, graph=True)
        return torch.autograd.grad((g * v).sum(), at)[0].detach()

    def train(self, state, seed, batch=128, eps=0.1):
        steps, fall = STATES[state]
        rate = {"linear2": 0.5, "sgns": 1.0}.get(self.kind, 2.0)
        rng, theta, m = np.random.default_rng(seed + 3), self.theta[None], 0.0
        for k in range(steps):
            m = (1 - eps) * m + eps * self.gradient(theta, self.draw(batch, rng))
            theta = theta - rate * fall ** (k / steps) * m
        self.theta = theta[0]
        return self

    def module(self):
        return Module(self)


class Module(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        w = {name: x[0].clone() for name, x in network.weights(network.theta[None]).items()}
        self.network = network
        self.words = torch.nn.Embedding.from_pretrained(w.pop("E"), freeze=False)
        self.dense = torch.nn.ParameterDict({name: torch.nn.Parameter(x) for name, x in w.items()})

    def loss(self, batch):
        w = {name: x[None] for name, x in self.dense.items()}
        w["E"] = self.words.weight[None]
        return self.network.loss(w, batch, lambda _, ids: self.words(ids))[0]


def network_cases(seed, corpus):
    """(name, problem, batch, eps); the networks of one kind and state are one object."""
    for state in STATES:
        for kind in KINDS:
            network = Network(kind, corpus, seed).train(state, seed)
            for batch in (16, 96, 512):
                eps = 0.1 if (state == "early") != (batch == 96) else 0.02
                yield f"network {kind} {state}, batch {batch}, eps {eps:g}", network, batch, eps
