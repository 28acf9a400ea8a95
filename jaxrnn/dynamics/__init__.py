"""What a network does when it is left alone: where it stands still, and what is near."""

from .flossing import lyapunov_penalty as lyapunov_penalty
from .points import Ends as Ends
from .points import FixedPoints as FixedPoints
from .points import fixed_points as fixed_points
