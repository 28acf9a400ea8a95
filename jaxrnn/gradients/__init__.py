"""What is measured of a run: how gradients travel, and how the state moves."""

from .carries import carry_gradients as carry_gradients
from .carries import gradient_norms as gradient_norms
from .carries import input_gradients as input_gradients
from .gates import Saturation as Saturation
from .gates import gate_activations as gate_activations
from .gates import saturation as saturation
from .gates import time_constants as time_constants
from .horizon import memory_horizon as memory_horizon
from .jacobians import carry_tangents as carry_tangents
from .jacobians import product_singular_values as product_singular_values
from .jacobians import spectral_radius as spectral_radius
from .jacobians import step_jacobians as step_jacobians
from .lags import LagProfile as LagProfile
from .lags import gradient_map as gradient_map
from .lags import lag_profile as lag_profile
from .log import GradientLog as GradientLog
from .log import gradient_log as gradient_log
from .lyapunov import LyapunovSpectrum as LyapunovSpectrum
from .lyapunov import lyapunov_spectrum as lyapunov_spectrum
from .newton import NewtonReport as NewtonReport
from .newton import newton_report as newton_report
from .report import GradientReport as GradientReport
from .report import gradient_report as gradient_report
