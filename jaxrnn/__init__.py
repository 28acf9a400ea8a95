"""Recurrent networks in JAX: a cell is a value, `unroll` lifts it over a sequence.

The rooms of the library, from the ground up. Each uses those above it in this list and
none below it; a test holds that.

    value              frozen values, declared by deriving
    context            a part of a carry that no step changes
    arguments/         what comes in at a public function: arrays, numbers, keys
    cell               the contract
    initializers       fresh parameters, gate by gate
    cells/             the cells, one family a file
    wrappers/          one cell around another, and noise
    combinators/       cells made of several
    methods/           how a recurrence is evaluated and differentiated
    unrolling/         what lies below unroll: streams, probes, the run, the call
    sequence           the verb: unroll, trajectory; carries of a batch
    ragged/            many sequences in one array, and where each begins
    losses             losses over sequences
    plotting/          figures, of arrays
    gradients/         what is measured: gradients through time, Jacobians, exponents
    dynamics/          where a network stands still, and how it moves there
    online/            gradients that run forward with the sequence
    attention/         decoders that look at a source
    decoding/          decoders that read what they say
    serialization      what functions return, in files of `jax.export`
    interop/           weights and modules of other libraries, each where it is asked for
"""

# ruff: noqa: I001 (in reading order)

# The contract, and the verb.
from .cell import Cell as Cell
from .arguments.keys import Keys as Keys
from .context import Context as Context
from .sequence import unroll as unroll
from .sequence import trajectory as trajectory
from .sequence import batched_carry as batched_carry
from .sequence import reset_carry as reset_carry

# Methods: how a recurrence is evaluated and differentiated.
from .methods import Scan as Scan
from .methods import Associative as Associative
from .methods import Newton as Newton
from .methods import Method as Method

# Cells.
from .cells import Elman as Elman
from .cells import LSTM as LSTM
from .cells import LSTMCarry as LSTMCarry
from .cells import GRU as GRU
from .cells import Dense as Dense
from .cells import Embedding as Embedding
from .cells import Activation as Activation
from . import initializers as initializers

# Cells made of several.
from .combinators import Combinator as Combinator
from .combinators import Stack as Stack
from .combinators import DenseSkip as DenseSkip
from .combinators import Bidirectional as Bidirectional
from .combinators import FastSlow as FastSlow
from .combinators import FastSlowCarry as FastSlowCarry
from .combinators import concatenate as concatenate

# One cell around another, and noise.
from .wrappers import Wrapper as Wrapper
from .wrappers import Residual as Residual
from .wrappers import Reversed as Reversed
from .wrappers import LearnedCarry as LearnedCarry
from .wrappers import ClipCarryGradient as ClipCarryGradient
from .wrappers import Multiscale as Multiscale
from .wrappers import MultiscaleCarry as MultiscaleCarry
from .wrappers import TwoBiases as TwoBiases
from .wrappers import Dropout as Dropout
from .wrappers import VariationalDropout as VariationalDropout
from .wrappers import WeightDrop as WeightDrop
from .wrappers import Zoneout as Zoneout

# Sequences of different lengths, and episodes.
from .ragged import pad as pad
from .ragged import Padded as Padded
from .ragged import pack as pack
from .ragged import Packed as Packed
from .ragged import last as last
from .ragged import pool as pool
from .ragged import resets_from_done as resets_from_done
from .ragged import resets_from_segments as resets_from_segments

# Losses.
from .losses import cross_entropy as cross_entropy
from .losses import mean_loss as mean_loss
from .losses import ctc_loss as ctc_loss
from .losses import bits_per_symbol as bits_per_symbol
from .losses import perplexity as perplexity

# Gradients through time.
from .gradients import carry_gradients as carry_gradients
from .gradients import gradient_norms as gradient_norms
from .gradients import input_gradients as input_gradients
from .gradients import lag_profile as lag_profile
from .gradients import LagProfile as LagProfile
from .gradients import memory_horizon as memory_horizon
from .gradients import gradient_map as gradient_map
from .gradients import gradient_report as gradient_report
from .gradients import GradientReport as GradientReport
from .gradients import gradient_log as gradient_log
from .gradients import GradientLog as GradientLog

# How the state moves: Jacobians, exponents, gates.
from .gradients import step_jacobians as step_jacobians
from .gradients import carry_tangents as carry_tangents
from .gradients import spectral_radius as spectral_radius
from .gradients import product_singular_values as product_singular_values
from .gradients import lyapunov_spectrum as lyapunov_spectrum
from .gradients import LyapunovSpectrum as LyapunovSpectrum
from .gradients import newton_report as newton_report
from .gradients import NewtonReport as NewtonReport
from .gradients import gate_activations as gate_activations
from .gradients import time_constants as time_constants
from .gradients import saturation as saturation
from .gradients import Saturation as Saturation
from . import plotting as plotting

# Dynamics: where a network stands still, and how it is kept moving.
from .dynamics import fixed_points as fixed_points
from .dynamics import FixedPoints as FixedPoints
from .dynamics import lyapunov_penalty as lyapunov_penalty

# Learning online: gradients that run forward with the sequence.
from .online import online_gradients as online_gradients
from .online import OnlineGradients as OnlineGradients
from .online import online_init as online_init
from .online import online_step as online_step
from .online import OnlineState as OnlineState
from .online import OnlineStep as OnlineStep
from .online import online_lags as online_lags
from .online import OnlineLags as OnlineLags
from .online import RTRL as RTRL
from .online import SnAp as SnAp
from .online import UORO as UORO
from .online import EProp as EProp
from .online import RFLO as RFLO
from .online import OneStep as OneStep

# Decoders: what they look at.
from .attention import BahdanauAttention as BahdanauAttention
from .attention import LuongAttention as LuongAttention
from .attention import Additive as Additive
from .attention import Dot as Dot
from .attention import General as General

# Decoders: what they say, and how they are trained.
from .decoding import generate as generate
from .decoding import Generated as Generated
from .decoding import beam_search as beam_search
from .decoding import Beams as Beams
from .decoding import ctc_greedy as ctc_greedy
from .decoding import BestPath as BestPath
from .decoding import ctc_beam_search as ctc_beam_search
from .decoding import Transcripts as Transcripts
from .decoding import Greedy as Greedy
from .decoding import Temperature as Temperature
from .decoding import TopK as TopK
from .decoding import Nucleus as Nucleus
from .decoding import decode as decode
from .decoding import TeacherForcing as TeacherForcing
from .decoding import FreeRunning as FreeRunning
from .decoding import ScheduledSampling as ScheduledSampling

from . import serialization as serialization  # registers what functions return

__version__ = "0.10.0"
