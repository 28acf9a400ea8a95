"""Weights of torch: recurrent layers, `Linear` and `Embedding`, and their states.

    cell, params = jaxrnn.interop.torch.load(model.rnn)
    weights = jaxrnn.interop.torch.dump(cell, params)

A state dict may hold arrays of NumPy, and then torch need not be there.
"""

from .carries import dump_carry as dump_carry
from .carries import load_carry as load_carry
from .weights import dump as dump
from .weights import load as load
