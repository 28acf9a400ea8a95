"""Weights of other libraries, in and out, and modules of theirs around a cell.

    import jaxrnn.interop.torch        cudnn, equinox, haiku, keras, linen, nnx, onnx

Each has `load(source, cell=None) -> (cell, params)` and `dump(cell, params)`, its
inverse; linen, nnx and equinox have a module, `RNN(cell)`, too. Each imports its library
only when it needs it, and is imported only where it is asked for.
"""
