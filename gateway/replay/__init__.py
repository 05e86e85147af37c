"""What would other rules have done? Past decisions decided again, and live ones decided twice.

`journal` keeps what the rules saw (never a prompt), sealed, for days; `runner` lets a child decide it again by a
candidate and `report` tells whom that would hit; `explain` tells why; `shadow` lets a candidate decide beside the rules
in force. docs/explanation/replay.md tells how far to trust each.
"""
