"""Gradients that run forward with the sequence."""

from .eprop import EProp as EProp
from .gradients import OnlineGradients as OnlineGradients
from .gradients import online_gradients as online_gradients
from .lags import OnlineLags as OnlineLags
from .lags import online_lags as online_lags
from .one_step import OneStep as OneStep
from .rflo import RFLO as RFLO
from .rtrl import RTRL as RTRL
from .snap import SnAp as SnAp
from .stream import OnlineState as OnlineState
from .stream import OnlineStep as OnlineStep
from .stream import online_init as online_init
from .stream import online_step as online_step
from .uoro import UORO as UORO
