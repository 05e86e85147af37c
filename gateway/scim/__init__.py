"""Provisioning: a company's directory tells us who may be here (SCIM 2.0, RFC 7643 and 7644).

* `facade.py`    `Scim`: a request of a directory in, an answer out
* `clients.py`   which directory is asking: one bearer token each
* `schemas.py`   what we keep of a person and of a group, and what we offer
* `dialects.py`  how Entra ID and Okta write what RFC 7644 says differently
* `service.py`   the protocol with our limits: `scim2-server` does the work
* `storage.py`   the library's port over our tables: `users.py`, `groups.py`, `rows.py`, `filters.py`
* `records.py`   each change is in the audit log before it is kept
"""

from gateway.scim.facade import Scim, ScimAnswer, ScimCall

__all__ = ["Scim", "ScimAnswer", "ScimCall"]
