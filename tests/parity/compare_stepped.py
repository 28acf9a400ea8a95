"""`compare.evaluate` for cells and functions of torch, which take a step at a time."""

import jax
import numpy as np
import torch


def random_positive(tree, seed=0):
    """Between 0.5 and 1.5, for weights that are to be positive."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.uniform(0.5, 1.5, leaf.shape), tree)


def weights_of(module):
    """What is trained, by name."""
    named = module.named_parameters()
    return {name: leaf.detach().numpy() for name, leaf in named if leaf.requires_grad}


def evaluate_run(run, weights, xs, carry, loss_weights):
    """For `run(weights, xs, carry) -> (carry, ys)`, of tensors."""

    def tensor(leaf):
        return torch.tensor(np.asarray(leaf), requires_grad=True)

    given = jax.tree.map(tensor, (weights, xs, carry))
    outcome = run(*given)
    _loss(outcome, loss_weights).backward()
    gradients = jax.tree.map(lambda leaf: leaf.grad.numpy(), given)
    return jax.tree.map(lambda leaf: leaf.detach().numpy(), outcome), gradients


def _loss(outcome, weights):
    products = jax.tree.map(
        lambda a, w: torch.sum(a * torch.tensor(np.asarray(w))), outcome, weights
    )
    return torch.stack(jax.tree.leaves(products)).sum()


def evaluate(stepped, weights, xs, carry, loss_weights):
    """For `stepped = (module, step)`, with `step(module, x, carry) -> (carry, y)`.

    The weights are written into the module, which may hold its parameters twice.
    """
    module, step = stepped
    with torch.no_grad():
        for name, weight in weights.items():
            module.get_parameter(name).copy_(torch.tensor(np.asarray(weight)))
    module.zero_grad()

    def tensor(leaf):
        return torch.tensor(np.asarray(leaf), requires_grad=True)

    xs, first = jax.tree.map(tensor, (xs, carry))
    carry, ys = first, []
    for x in xs:
        carry, y = step(module, x, carry)
        ys.append(y)
    outcome = carry, torch.stack(ys)
    _loss(outcome, loss_weights).backward()
    leaves = {name: module.get_parameter(name) for name in weights}, xs, first
    gradients = jax.tree.map(lambda leaf: leaf.grad.numpy(), leaves)
    return jax.tree.map(lambda leaf: leaf.detach().numpy(), outcome), gradients
