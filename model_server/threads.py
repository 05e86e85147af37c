"""How OpenMP's threads wait for each other. Import this before torch: it is read once, when torch loads."""

import os

# A thread that spins at a barrier keeps its core from a sibling that lost its own to another program, and a step then
# takes ten times as long (measured on two shared cores). A machine that does nothing else is better off with
# OMP_WAIT_POLICY=active, which is left alone here: half the time for the embedded model's short steps.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
