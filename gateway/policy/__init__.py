"""What may they do: rules in Rego, an engine that runs them, and answers that can be trusted or count as no.

`facade.Policy` is the door; `input` builds what the rules may see (never a prompt); `embedded` and `opa` are the two
engines behind one port (`engine.PolicyEngine`). docs/reference/policy-input.md describes both documents.
"""

from gateway.policy.facade import Policy
from gateway.policy.input import build_admin_input, build_input

__all__ = ["Policy", "build_admin_input", "build_input"]
