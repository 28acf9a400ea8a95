"""Figures of gradients, Jacobians, exponents, fixed points, gates and attention.

Matplotlib is needed here alone. Every function draws into an `Axes` that is given, or
into one of a new figure, and returns it, with title, labels and legend, so that anything
may be added or changed. Lines differ in style and marker besides colour, so that a print
in grey stays legible. What is not finite is left out.
"""

from .activations import attention as attention
from .activations import gate_histogram as gate_histogram
from .dynamics import eigenvalues as eigenvalues
from .dynamics import lyapunov_spectrum as lyapunov_spectrum
from .dynamics import singular_values as singular_values
from .gradients import gradient_map as gradient_map
from .gradients import gradient_norms as gradient_norms
from .gradients import lag_profile as lag_profile
from .points import fixed_points as fixed_points
from .records import training as training
