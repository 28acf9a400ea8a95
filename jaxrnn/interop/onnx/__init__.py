"""Weights of ONNX: the recurrent nodes of a model, in and out.

    cell, params = jaxrnn.interop.onnx.load("model.onnx")
    model = jaxrnn.interop.onnx.dump(cell, params)

A model is an `onnx.ModelProto` or the path of a file. The package onnx is imported by the
functions that need it.
"""

from .activations import Affine as Affine
from .activations import Clipped as Clipped
from .activations import Elu as Elu
from .activations import HardSigmoid as HardSigmoid
from .activations import LeakyRelu as LeakyRelu
from .activations import ScaledTanh as ScaledTanh
from .activations import ThresholdedRelu as ThresholdedRelu
from .cells import OnnxLSTM as OnnxLSTM
from .dump import dump as dump
from .load import load as load
