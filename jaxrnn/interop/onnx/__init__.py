"""Weights of ONNX: the recurrent nodes of a model, in and out.

    cell, params = jaxrnn.interop.onnx.load("model.onnx")

A model is an `onnx.ModelProto` or the path of a file. The package onnx is imported by the
functions that need it.
"""

from .load import load as load
