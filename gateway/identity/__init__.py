"""Who is this, and how sure are we?

* `facade.py`        `Identity`: what the rest of the gateway asks
* `authenticate.py`  a session cookie, an API key or an access token -> Actor
* `sign_in.py`       the way in through a provider: `oidc.py`, `discovery.py`, `transactions.py`, `return_to.py`
* `tokens.py`        is this token really theirs, for us, good now: one order of steps; `jwks.py` the issuers' keys
* `mfa.py`           was there a second factor, and when; `profile.py` what else a provider's claims say
* `sessions.py`      server-side sessions; `cookies.py`, `csrf.py`
* `api_keys.py`      `imp_pat_…`; `minting.py` who may make one
* `door.py`          how often strangers may knock: `throttle.py`, `known_browsers.py`; `notices.py` what one is told
* `proposals.py`     what takes two people
* `people.py`        who has signed in, suspension, revocation epoch; `roles.py` groups -> roles
* `refusals.py`      the sentences that refused people read
"""

from gateway.identity.cookies import Cookie
from gateway.identity.facade import Identity
from gateway.identity.refusals import SignInRefused
from gateway.identity.sign_in import Arrival, Departure

__all__ = ["Arrival", "Cookie", "Departure", "Identity", "SignInRefused"]
