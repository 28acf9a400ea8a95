"""Sequences of different lengths in arrays, and back."""

from .ends import last as last
from .ends import resets_from_done as resets_from_done
from .ends import resets_from_segments as resets_from_segments
from .packing import Packed as Packed
from .packing import Padded as Padded
from .packing import pack as pack
from .packing import pad as pad
from .pooling import pool as pool
