"""The HTTP service: routes, the gate in front of them, the coalescer behind them, the Ray Serve shell."""
