"""Symbols drawn one after the other, for training and for generation."""

from .beam import Beams as Beams
from .beam import beam_search as beam_search
from .ctc import BestPath as BestPath
from .ctc import Transcripts as Transcripts
from .ctc import ctc_beam_search as ctc_beam_search
from .ctc import ctc_greedy as ctc_greedy
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
