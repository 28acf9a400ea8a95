"""How a recurrence is evaluated and differentiated."""

from .associative import Associative as Associative
from .method import Method as Method
from .newton import Newton as Newton
from .newton import Started as Started
from .scan import Scan as Scan
