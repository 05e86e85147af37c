"""Three real OpenID providers on loopback, started by tests, each with the demo's people (password and TOTP).

* `canaille.py`       canaille 0.3.6, the demo's own (`demo/idp`)
* `oidc_provider/`    npm's certified oidc-provider 9.13.3; needs Node 20
* `glewlwyd.py`       Debian's glewlwyd 2.7.5; needs apt, and is the only one that a machine may lack
* `base.py`           what the three have in common: `RunningProvider`, and `Features`, what each does and does not
* `browser.py`        `sign_in`, `follow`: a person with a browser, at any of the three
* `packages.py`       installs the two foreign ones into `.cache/providers`, once

    with OidcProvider(tmp_path, "http://127.0.0.1:8100") as idp:       # the gateway's public address
        settings = {"providers": [idp.provider()], "roles": ROLE_MAPPING}
        async with httpx.AsyncClient(trust_env=False) as browser:
            await sign_in(browser, idp, "http://127.0.0.1:8100", idp.people["alice"])
        await idp.dismiss("alice")                                      # the company lets her go

Each has three clients: `imprimatur` (the gateway's: confidential, code with PKCE, refresh tokens where it gives any,
`idp.client_secret_path`), `imprimatur-cli` (public: device flow, and code on a loopback redirect), and where
`features.private_key_jwt`, `robot` (client credentials with the key at `idp.robot_key_path`).
"""

from tests.support.providers.base import Features, RunningProvider
from tests.support.providers.browser import follow, sign_in
from tests.support.providers.canaille import Canaille
from tests.support.providers.glewlwyd import Glewlwyd
from tests.support.providers.oidc_provider import OidcProvider

PROVIDERS: tuple[type[RunningProvider], ...] = (Canaille, OidcProvider, Glewlwyd)

__all__ = ["PROVIDERS", "Canaille", "Features", "Glewlwyd", "OidcProvider", "RunningProvider", "follow", "sign_in"]
