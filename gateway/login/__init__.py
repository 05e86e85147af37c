"""Signing in from a terminal: the client's side. It runs on people's own machines and knows the gateway by HTTP only.

* `device_flow.py`   finds the issuer, lets the person approve in a browser (RFC 8628), refreshes and revokes
* `keyring_shelf.py` keeps what came of it in the system's keyring, and nowhere else
"""
