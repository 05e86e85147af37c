"""The demo's identity provider: a real canaille with people, passwords, TOTP and groups, on loopback.

* `people.py`       who works at this company, and which of its groups mean which role here
* `install.py`      canaille in a virtual environment of its own
* `process.py`      `DemoIdp`: start it, wait for it, stop it
* `serve.py`        what runs inside that virtual environment (it alone imports canaille)
* `browserless.py`  signs a person in through the real forms, without a browser

For demonstrations and tests only. A company brings its own provider: Entra ID, Okta, Keycloak, any OIDC issuer.
"""

from demo.idp.people import ROLE_MAPPING, Person
from demo.idp.process import DemoIdp

__all__ = ["ROLE_MAPPING", "DemoIdp", "Person"]
