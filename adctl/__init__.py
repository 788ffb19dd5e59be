"""adctl: operations toolkit and daemons for real-time advertising."""

__version__ = "0.1.0"
