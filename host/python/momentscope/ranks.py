"""Training in several processes (torch.distributed): rank 0 is attached, the others are told so and do nothing."""
import torch


class Ranks:
    """rank, of: this process within the default group; of is 1 without one."""

    def __init__(self):
        alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
        self.rank = 0 if alone else torch.distributed.get_rank()
        self.of = 1 if alone else torch.distributed.get_world_size()

    def absent(self):
        return (f"this is rank {self.rank} of {self.of}: nothing is attached here, because rank 0 tells the same step. "
                "Where ranks hold different parameters, give attach(.., every_rank=True) and each a prefix of its own")

    def limits(self, probed, nll):
        """What is not known where gradients are averaged over the ranks."""
        lost = " and ".join(word for word, asked in (("the probe", probed), ("nll", nll)) if asked)
        return (f"gradients are averaged over {self.of} ranks: a row counts once a step, however often they looked it up, "
                "so p of frequent rows is too low and U is unknown" + (lost and (
                    f"; {lost} would need the batches of all ranks, and passes on one rank alone would break the "
                    "others, so curvature stays unknown")))


class Nobody:
    """In the place of a client on ranks that are not attached."""

    def poll(self, _seconds=0.0):
        pass

    def flush(self, _seconds=5.0):
        return True

    def save(self):
        return 0

    def stats(self):
        return {"connected": False, "exact": False, "steps_sent": 0, "steps_dropped": 0, "last_error": None}

    def close(self, _seconds=1.0):
        pass
