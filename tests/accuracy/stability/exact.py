"""The largest stable eta of problems.py in the mean square, by the exact second-moment map.

m <- beta m + eps g, theta <- theta - eta m, with batches that are independent of one another.
"""
import numpy as np


def crossing(above, low, high):
    """The eta in (low, high) at which above(eta) becomes true, within .05 %."""
    while high / low > 1.0005:
        middle = np.sqrt(low * high)
        low, high = (low, middle) if above(middle) else (middle, high)
    return np.sqrt(low * high)


def row_limit(h, p, batch, eps):
    """One gated row with curvatures h: sum_j (eta h_j/(2B)) / (1 - eta/top_j) = 1."""
    inverse_top = (2 - p) * h / (2 * batch) + eps * p * h / (2 * (2 - eps))

    def above(eta):
        left = 1 - eta * inverse_top
        return (left <= 0).any() or (eta * h / (2 * batch) / left).sum() > 1
    return crossing(above, 1e-12 / h.max(), 1 / inverse_top.max())


def gated_limit(problem, batch, eps):
    return min(row_limit(h, p, batch, eps) for h, p in zip(problem.h, problem.p))


def stationary(curvatures, eta, eps):
    """L[i, j] = E d_i d_j under gradient noise of covariance 1 between modes i and j."""
    n, beta = len(curvatures), 1 - eps
    a = np.zeros((n, 2, 2))
    a[:, 0, 0], a[:, 0, 1], a[:, 1, 0], a[:, 1, 1] = 1 - eta * eps * curvatures, -eta * beta, eps * curvatures, beta
    noise = np.outer([-eta * eps, eps], [-eta * eps, eps]).ravel()[:, None]
    L = np.empty((n, n))
    for i in range(n):
        K = np.eye(4) - np.einsum("ab,jcd->jacbd", a[i], a[i:]).reshape(-1, 4, 4)
        L[i, i:] = L[i:, i] = np.linalg.solve(K, np.broadcast_to(noise, (n - i, 4, 1)))[:, 0, 0]
    return L


class BagMap:
    """Sigma -> L o N(Sigma) in the eigenbasis of the mean curvature: the noise N(Sigma) that an error of covariance
    Sigma makes, and the error L o N that such noise makes. Its spectral radius is 1 at the limit."""

    def __init__(self, problem, batch):
        self.X, self.bags, self.batch = problem.X, problem.bags.numpy(), batch
        self.H = self.X.T @ self.X / len(self.X)
        e, self.Q = np.linalg.eigh(self.H)
        self.e = np.maximum(e, 1e-12 * e.max())
        self.S = np.diag(self.e / self.e.sum())

    def fourth(self, S):
        """E x x' <x, S x>; by pairs of words where a bag has few of them."""
        V, C = len(S), self.bags.shape[1]
        if C > 8:
            return self.X.T @ (self.X * ((self.X @ S) * self.X).sum(1)[:, None]) / len(self.X)
        pairs = (self.bags[:, :, None] * V + self.bags[:, None, :]).reshape(-1, C * C)
        size = S.ravel()[pairs].sum(1) / C ** 4
        return np.bincount(pairs.ravel(), np.repeat(size, C * C), V * V).reshape(V, V) / len(self.X)

    def noise(self, S):
        return (self.fourth(S) - self.H @ S @ self.H) / self.batch

    def radius(self, eta, eps):
        """Spectral radius by power iteration, which goes on from the last Sigma."""
        L, before = stationary(self.e, eta, eps), 0.0
        for k in range(60):
            self.S = L * (self.Q.T @ self.noise(self.Q @ (self.S / np.trace(self.S)) @ self.Q.T) @ self.Q)
            now = np.trace(self.S)
            if k > 2 and abs(now / before - 1) < 6e-4:
                break
            before = now
        return now


def bag_limit(problem, batch, eps):
    """The radius grows like eta a/(1 - eta/top) with a nearly constant, exactly for one mode: a few steps suffice."""
    the = BagMap(problem, batch)
    top = 2 * (2 - eps) / (eps * the.e[-1])
    low, high = 0.0, top
    eta = 1 / (0.5 / batch * (problem.X ** 2).sum(1).mean() + 1 / top)
    for _ in range(12):
        radius = the.radius(eta, eps)
        low, high = (low, eta) if radius > 1 else (eta, high)
        new = 1 / (radius / eta * (1 - eta / top) + 1 / top)
        new = new if low < new < high else (low + high) / 2
        done, eta = abs(new / eta - 1) < 3e-3, new
        if done:
            break
    return eta
