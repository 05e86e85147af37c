# METADATA
# title: Pictures that a model seems to have remembered
# description: "Findings of type memorisation.*: nearly the same picture for different people who asked for something else."
# scope: package
# custom:
#   owner: security-team
package gateway.image.memorisation

# METADATA
# title: What each finding comes to, by its place in the list
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.4
ranks := data.gateway.image.findings.ranks

# METADATA
# title: Denied, where the company chose that
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.4
deny contains data.gateway.image.findings.reason(finding, fallback_deny, "NIST AI 600-1 2.4") if {
	some place, finding in data.gateway.image.findings.reported
	startswith(finding.type, "memorisation.")
	ranks[place] == data.gateway.lib.effect_rank.deny
}

# METADATA
# title: Held for a person to look at
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.4
review contains data.gateway.image.findings.reason(finding, fallback_review, "NIST AI 600-1 2.4") if {
	some place, finding in data.gateway.image.findings.reported
	startswith(finding.type, "memorisation.")
	ranks[place] == data.gateway.lib.effect_rank.review
}

# METADATA
# title: What people read when the detector has no words of its own
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.4
fallback_deny := "This picture came out nearly the same for somebody else. Ask for it in other words."

# METADATA
# title: The same for review
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.4
fallback_review := "This picture came out nearly the same for somebody else. A person has to look at it first."
