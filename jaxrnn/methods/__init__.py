"""How a recurrence is evaluated and differentiated, one method a file."""

from .scan import Scan as Scan
