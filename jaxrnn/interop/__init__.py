"""Weights of other libraries, in and out, and modules of theirs around a cell.

    import jaxrnn.interop.torch        cudnn, equinox, haiku, keras, linen, nnx, onnx

Each has `load(source) -> (cell, params)` and `dump(cell, params)`, its inverse. Where the
source does not say what it is of, `load` takes the cell too: of torch, keras, haiku and
cudnn; linen takes the module and its variables. Where the library trains two biases and
we one, `split` keeps both. linen, nnx and equinox have a module, `RNN(cell)`. Each
imports its library only when it needs it, and is imported only where it is asked for.
"""
