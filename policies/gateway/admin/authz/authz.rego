# METADATA
# title: Everything that is not making a picture
# description: Keys, records, credits, lists of models. Who, with which second factor, from where; nothing else.
# scope: package
# entrypoint: true
# custom:
#   owner: security-team
package gateway.admin.authz

# METADATA
# title: No answer is a denial
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-17
default decision := {
	"effect": "deny",
	"reasons": [{
		"code": "policy.undefined",
		"message": "The rules in force gave no answer, and that means no. Tell your administrator.",
		"severity": "high",
		"rule": "gateway.admin.authz.decision",
		"control": "NIST SP 800-53 SI-17",
	}],
	"obligations": {},
}

# METADATA
# title: Denied as soon as one control says so
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
effect := "deny" if {
	count(data.gateway.access.deny) > 0
} else := "allow" if {
	count(data.gateway.access.deny) == 0
}

# METADATA
# title: Fresh MFA, where it alone would help
# custom:
#   owner: security-team
#   control: NIST SP 800-53 IA-11
default step_up := {}

step_up := {"step_up": data.gateway.access.step_up(data.gateway.access.deny)}

# METADATA
# title: The decision
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
decision := {
	"effect": effect,
	"reasons": [reason | some reason in data.gateway.access.deny],
	"obligations": object.union({"retention_days": data.gateway.config.limits.retention_days}, step_up),
}
