"""Symbols drawn one after the other, for training and for generation."""

from .generation import Generated as Generated
from .generation import generate as generate
from .policies import FreeRunning as FreeRunning
from .policies import ScheduledSampling as ScheduledSampling
from .policies import TeacherForcing as TeacherForcing
from .policies import decode as decode
from .samplers import Greedy as Greedy
from .samplers import Nucleus as Nucleus
from .samplers import Temperature as Temperature
from .samplers import TopK as TopK
