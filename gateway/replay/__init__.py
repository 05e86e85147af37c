"""What would other rules have done? Past decisions decided again, live ones decided twice, a few decided differently.

`journal` keeps what the rules saw (never a prompt), sealed, for days; `runner` lets a child decide it again by a
candidate and `report` tells whom that would hit; `explain` tells why; `shadow` lets a candidate decide beside the rules
in force; `rollout` gives it to some people first. docs/explanation/replay.md tells how far to trust each.
"""
