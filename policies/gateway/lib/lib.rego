# METADATA
# title: Shared words
# description: The order of effects, and the shape of a reason.
# scope: package
# custom:
#   owner: security-team
package gateway.lib

# METADATA
# title: Effects in rising order; several answers combine to the highest
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
effect_rank := {"allow": 0, "mask": 1, "review": 2, "deny": 3}

# METADATA
# title: The shape of a reason
# description: Message, rule and control are constants wherever a rule denies, so that no undefined value can swallow the denial.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
reason(code, message, severity, rule, control) := {
	"code": code,
	"message": message,
	"severity": severity,
	"rule": rule,
	"control": control,
}
