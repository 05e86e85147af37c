"""Policy packs: sets of rules to begin with. Each is the shipped rules and what a kind of company wants otherwise.

A pack is a folder here: `pack.yaml` says for whom it is and which control each change serves, `rules/` holds what is
otherwise, `options/NAME/` what may be added besides. What comes of it is a plain folder of rules, which loads, is
tested and changes like any other; nothing remembers that it was a pack.

* `pack.py`      packs as they lie here
* `merge.py`     a data file with some of its values otherwise, its comments kept
* `build.py`     the shipped rules and a pack, made into one set of files
* `drafting.py`  the same as a change of rules that are in force
"""

from gateway.packs.build import BuildFailed, build, shipped_rules
from gateway.packs.pack import Change, Pack, PackUnknown, find, packs

__all__ = ["BuildFailed", "Change", "Pack", "PackUnknown", "build", "find", "packs", "shipped_rules"]
