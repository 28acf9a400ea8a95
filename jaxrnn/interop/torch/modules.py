"""What a module of torch says of itself."""

from typing import Any

from ...cell import Cell
from ...cells import GRU, LSTM, Dense, Elman, Embedding
from .. import rows


def cell_of(call: str, module: Any) -> Cell:
    """The cell that a module is; raises for one that ours cannot be."""
    try:
        from torch import nn
    except ImportError:
        _refuse(call, module)
    kinds = nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell
    kind = next((k for k in (*kinds, nn.Linear, nn.Embedding) if _is(module, k)), None)
    if kind is None:
        _refuse(call, module)
    if kind is nn.Linear:
        bias = module.bias is not None
        return Dense(module.in_features, module.out_features, use_bias=bias)
    if kind is nn.Embedding:
        return _embedding(call, module)
    sizes, bias = (module.input_size, module.hidden_size), {"use_bias": module.bias}
    if kind in (nn.RNN, nn.RNNCell):
        first = Elman(*sizes, module.nonlinearity, **bias)
    elif kind in (nn.GRU, nn.GRUCell):
        first = GRU(*sizes, **bias)
    else:
        projection = getattr(module, "proj_size", 0) or None
        first = LSTM(*sizes, projection_size=projection, **bias)
    if kind in kinds[3:]:
        return first
    if module.num_layers > 1 and module.dropout == 1:
        raise ValueError(
            f"{call}: dropout of {module} is 1, expected less: nothing passes; to read "
            "the weights alone, set module.dropout = 0"
        )
    network = rows.Network(first, module.num_layers, module.bidirectional)
    return rows.cell_of(network, module.dropout)


def _is(module: Any, kind: Any) -> bool:
    """Whether it is one, or a subclass that computes what it does, with weights."""
    lazy = hasattr(module, "has_uninitialized_params")
    same = isinstance(module, kind) and type(module).forward is kind.forward
    return same and not lazy


def _embedding(call: str, module: Any) -> Cell:
    cell = Embedding(module.num_embeddings, module.embedding_dim)
    options = {
        "padding_idx": "its row does not learn, but ours does where no lengths or mask "
        "hide it",
        "max_norm": "rows are scaled where they are looked up",
        "scale_grad_by_freq": "gradients are divided by how often a symbol is there",
        "sparse": "optimizers leave rows alone that no symbol asked for",
    }
    for name, meaning in options.items():
        value = getattr(module, name)
        if value is not None and value is not False:
            raise ValueError(
                f"{call}: {name} of the nn.Embedding is {value!r}: {meaning}; to read "
                f"the weights alone, load(module.state_dict(), {cell})"
            )
    return cell


def _refuse(call: str, source: Any) -> Any:
    kind = type(source)
    raise TypeError(
        f"{call}: source is a {kind.__module__}.{kind.__qualname__}, expected an nn.RNN, "
        "nn.LSTM, nn.GRU, a cell of these, nn.Linear, nn.Embedding, or a state dict, as "
        "torch.load(path) gives it; of a model that is made of several, load them one by "
        "one: load(model.rnn)"
    )
