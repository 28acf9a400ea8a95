"""Layers of flax.linen without memory, in and out."""

from typing import Any

import jax.numpy as jnp

from ...cells import Dense, Embedding
from ...wrappers import Dropout
from ..layers import Layer
from ..options import check_defaults, check_dtype
from .reading import LOAD, Given, Source


def read_dense(source: Source, given: Given) -> Layer:
    from flax.linen.dtypes import promote_dtype

    module, names = source.module, ["kernel"] + ["bias"] * source.module.use_bias
    options: dict[str, Any] = {"promote_dtype": promote_dtype, "precision": None}
    options |= {"dot_general": None, "dot_general_cls": None}
    check_defaults(LOAD, source.where, module, options)
    source.expect(*names)
    params = {name: jnp.asarray(source.params[name]) for name in names}
    check_dtype(LOAD, source.where, module.dtype, *params.values())
    rows = params["kernel"].shape[0]
    return Dense(rows, module.features, use_bias=module.use_bias), params


def read_embed(source: Source, given: Given) -> Layer:
    from flax.linen.dtypes import promote_dtype

    module = source.module
    check_defaults(LOAD, source.where, module, {"promote_dtype": promote_dtype})
    source.expect("embedding")
    embedding = jnp.asarray(source.params["embedding"])
    check_dtype(LOAD, source.where, module.dtype, embedding)
    cell = Embedding(module.num_embeddings, module.features)
    return cell, {"embedding": embedding}


def read_dropout(source: Source, given: Given) -> Layer:
    check_defaults(LOAD, source.where, source.module, {"broadcast_dims": ()})
    return Dropout(source.module.rate), ()


def write_dense(cell: Dense, params: Any) -> tuple[Any, dict[str, Any]]:
    from flax import linen as nn

    options = {"use_bias": cell.use_bias, "param_dtype": params["kernel"].dtype}
    return nn.Dense(cell.output_size, **options), params


def write_embedding(cell: Embedding, params: Any) -> tuple[Any, dict[str, Any]]:
    from flax import linen as nn

    dtype = params["embedding"].dtype
    return nn.Embed(cell.vocabulary, cell.features, param_dtype=dtype), params


def write_dropout(cell: Dropout, params: Any) -> tuple[Any, dict[str, Any]]:
    from flax import linen as nn

    return nn.Dropout(cell.rate, deterministic=True), {}


WRITERS = {Dense: write_dense, Embedding: write_embedding, Dropout: write_dropout}
