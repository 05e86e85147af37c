"""Train the embedded model from public emoji artwork: `python -m model_server.embedded.train --help`."""

import os

# A thread that spins at a barrier keeps its core from a sibling that lost its own to another program, and a step then
# takes ten times as long. Sleeping at barriers costs microseconds. Read by OpenMP when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
