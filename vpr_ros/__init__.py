"""Loop closure for robots: recognise places seen before, and say so only when it is true."""

__version__ = "0.1.0"
