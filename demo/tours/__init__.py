"""Tours: one story each through the real product, told step by step, and held to what it says.

* `telling.py`  steps, what they say, what becomes of one that was not as told
* `visitor.py`  somebody at the gateway, signed in through the real forms
* `policy.py`   how a rule changes: `make tour NAME=policy`
"""
