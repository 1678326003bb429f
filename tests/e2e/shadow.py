"""What the daemon should say, from the definitions of core.h and protocol/README.md, dense and in float64."""
import numpy as np

HYSTERESIS = 2**0.25


class Shadow:
    """Dense heavy ball over every row, per-row activity, and the sums of a publication window."""

    def __init__(self, rows, dim, form="ema", ref=None):
        self.theta, self.m = np.zeros((rows, dim)), np.zeros((rows, dim))
        self.ref = np.zeros((rows, dim)) if ref is None else ref
        self.form, self.made, self.k = form, False, 0
        self.gap, self.share = np.zeros(rows, np.float32), np.zeros(rows, np.float32)
        self.active, self.last = np.zeros(rows, int), np.zeros(rows, int)
        self.remembered = np.zeros(rows)             # gaps behind the means, in steps of 1/128
        self.idle = []                               # the 2x2 map of each step without a gradient
        self.band = np.full(rows, -1)
        self.fresh, self.fade = np.zeros((32, 3)), np.zeros((32, 3))     # gaps, sums of 1 - A22 and of its square
        self.reset()

    def reset(self):
        self.window = {b: [] for b in range(32)}     # [N, s2, |G|^2, <G, m>] of each row update, m in EMA form

    def step(self, rows, grads, eta, eps, batch, decay=0.0, decoupled=0.0, damp=0.0):
        self.k += 1
        G = np.zeros_like(self.theta)
        N, s2 = np.zeros(len(G), int), np.zeros(len(G))
        for r, g in zip(rows, np.asarray(grads, float)):
            G[r] += g
            N[r] += 1
            s2[r] += g @ g
        ema = 1 if self.form == "ema" or eps == 1 else eps / (1 - damp)
        before = ema * self.m
        self.move(G, eta, eps, decay, decoupled, damp)
        for r in np.flatnonzero(N):
            gone = self.gone(r, eps)
            self.note(r, N[r] / batch)
            if gone is not None:
                self.fresh[self.band[r]] += 1, gone, gone**2
            self.window[self.band[r]].append((N[r], s2[r], G[r] @ G[r], G[r] @ before[r]))

        kick = decay * (eps if self.form == "ema" else 1 - damp)
        self.idle.append(np.array([[1 - eta * decoupled - eta * kick, -eta * (1 - eps)], [kick, 1 - eps]]))
        if self.k % 256 == 0:
            span = max(4096, 32 / eps)
            self.fade = span / (span + 256) * self.fade + self.fresh
            self.fresh = np.zeros((32, 3))

    def gone(self, r, eps):
        """The share of its momentum that row r has lost since its last update; None at its first."""
        if not self.active[r]:
            return None
        product = np.eye(2)
        for a in self.idle[self.last[r]:]:
            product = a @ product
        return 1 - product[1, 1] * (1 - eps)

    def move(self, G, eta, eps, decay, decoupled, damp):
        g = G + decay * self.theta
        self.theta *= 1 - eta * decoupled
        if self.form == "ema":
            self.m = (1 - eps) * self.m + eps * g
            self.theta -= eta * self.m
            return
        if eps == 1:
            self.theta -= eta * g
            return
        self.m = (1 - eps) * self.m + (1 - damp if self.made else 1) * g
        self.made = True
        self.theta -= eta * self.m

    def note(self, r, share):
        self.active[r] += 1
        gap, n = float(self.k - self.last[r]), self.following(r)
        if self.active[r] == 2 and float(self.gap[r]) > 20 * gap:        # it was not there when the table began
            n = 1
        self.gap[r] = self.gap[r] + (gap - float(self.gap[r])) / n
        self.share[r] = self.share[r] + (share - float(self.share[r])) / min(n, self.active[r])
        span = max(4096, 16 * float(self.gap[r]))
        self.remembered[r] = np.floor(n * span / (span + gap) * 128 + 0.5)
        self.last[r] = self.k
        self.place(r, float(self.share[r]) / float(self.gap[r]))

    def following(self, r):
        return min(self.remembered[r] / 128 + 1, 256)

    def place(self, r, p):
        """Band b holds 2^-(b+1) < p <= 2^-b; a row stays within a quarter of an octave."""
        b = self.band[r]
        if b >= 0 and (b == 0 or p <= HYSTERESIS * 2.0**-b) and (b == 31 or p > 2.0**(-b - 1) / HYSTERESIS):
            return
        self.band[r] = min(31, max(0, int(np.floor(-np.log2(p)))))

    def rates(self, r):
        open_, gap = self.k - self.last[r], float(self.gap[r])
        gap += open_ * 128 / float(self.remembered[r])
        gap = float(np.float32(gap))                # a record of 64 bytes keeps it so
        return float(self.share[r]) / gap, 1 / gap

    def bands(self, scale=1.0):
        """A publication: rows drift to rarer bands, then {band: fields}. scale: EMA form over native form of m."""
        e = self.theta - self.ref
        for r in np.flatnonzero(self.active):
            self.place(r, self.rates(r)[0])
        out = {}
        for b in sorted(set(self.band[self.active > 0])):
            own = np.flatnonzero(self.band == b)
            rates = np.array([self.rates(r) for r in own])
            w = np.array(self.window[b], float).reshape(-1, 4)
            many = w[w[:, 0] >= 2]
            gaps, first, second = self.fade[b] + self.fresh[b]
            out[b] = {
                "rows": len(own), "updates": int(self.active[own].sum()),
                "R": (e[own]**2).sum(), "V": (self.m[own]**2).sum() * scale**2, "C": (e[own] * self.m[own]).sum() * scale,
                "gaps": gaps, "fade": first / gaps if gaps else None, "fade2": second / gaps if gaps else None,
                "p": rates[:, 0].mean(), "P": rates[:, 1].mean(), "window_updates": float(len(w)),
                "g2": w[:, 1].sum() / w[:, 0].sum() if len(w) else None,
                "U": ((many[:, 2] - many[:, 1]) / (many[:, 0] * (many[:, 0] - 1))).mean() if len(many) else None,
                "gm": (w[:, 3] / w[:, 0]).mean() if len(w) else None,
            }
        return out

    def totals(self):
        e = self.theta - self.ref
        return (e**2).sum(), (self.m**2).sum(), (e * self.m).sum()
