#!/usr/bin/env python3
"""A recommender with several tables: users, items, and bags of tags; the clicks are drawn from a hidden model.

One lr and one momentum serve a table of 20,000 users of which each is rare, and one of 50 tags of which each is in
every batch: attach shows how differently momentum treats them. The probe measures curvature on the batch under way.

    momentscoped &
    python recommender.py
"""
import torch
import torch.nn.functional as F

import momentscope
from bands import Bands, Loss, options

USERS, ITEMS, TAGS, PER_ITEM, DIM, BATCH = 20_000, 5_000, 50, 3, 16, 128


class Recommender(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.users = torch.nn.Embedding(USERS, DIM)
        self.items = torch.nn.Embedding(ITEMS, DIM)
        self.tags = torch.nn.EmbeddingBag(TAGS, DIM, mode="mean")
        self.bias = torch.nn.Parameter(torch.zeros(()))
        for table in (self.users, self.items, self.tags):
            torch.nn.init.normal_(table.weight, std=0.1)

    def forward(self, user, item, tags):
        return (self.users(user) * (self.items(item) + self.tags(tags))).sum(1) + self.bias


class Clicks:
    """Who sees what is Zipf's; whether they click is decided by a model that the trainer does not know."""

    def __init__(self):
        self.hidden, self.of_item = Recommender(), torch.randint(0, TAGS, (ITEMS, PER_ITEM))
        with torch.no_grad():
            for p in self.hidden.parameters():
                p.mul_(8.0)
        self.users, self.items = (1.0 / (1.0 + torch.arange(n)) for n in (USERS, ITEMS))

    def batch(self):
        user = torch.multinomial(self.users, BATCH, replacement=True)
        item = torch.multinomial(self.items, BATCH, replacement=True)
        tags = self.of_item[item]
        with torch.no_grad():
            clicked = torch.bernoulli(torch.sigmoid(self.hidden(user, item, tags)))
        return user, item, tags, clicked


def loss_of(model, batch):
    user, item, tags, clicked = batch
    return F.binary_cross_entropy_with_logits(model(user, item, tags), clicked)


def main():
    said = options(__doc__, 1500).parse_args()
    torch.manual_seed(said.seed)
    clicks, model = Clicks(), Recommender()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    batch = clicks.batch()

    def closure(half=None):                  # the loss of the present batch once more, or of half of it
        return loss_of(model, batch if half is None else tuple(x[half::2] for x in batch))

    bands = Bands("users.weight", "items.weight", "tags.weight")
    scope = momentscope.attach(model, optimizer, probe_every=25, closure=closure, batch=BATCH)
    told = Loss(said.steps)
    for step in range(said.steps):
        batch = clicks.batch()
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        optimizer.step()
        scope.step()                         # the one line in the loop
        bands.listen()
        told.note(step, float(loss))
    scope.flush(2.0)
    bands.show()
    scope.close()


if __name__ == "__main__":
    main()
