"""Decoders that attend to a source."""

from .bahdanau import BahdanauAttention as BahdanauAttention
from .luong import LuongAttention as LuongAttention
from .scores import Additive as Additive
from .scores import Dot as Dot
from .scores import General as General
