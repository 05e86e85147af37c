# METADATA
# title: What pictures may show
# description: "Findings of type content.*: G-rated by default, by group where an exception says so."
# scope: package
# custom:
#   owner: security-team
package gateway.image.content

# METADATA
# title: The findings of this family that come to a rank
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
found(rank) := [finding |
	some place, finding in data.gateway.image.findings.reported
	startswith(finding.type, "content.")
	data.gateway.image.findings.ranks[place] == data.gateway.lib.effect_rank[rank]
]

# METADATA
# title: Denied
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
deny contains data.gateway.image.findings.reason(finding, fallback_deny, "NIST AI 600-1 2.3") if {
	some finding in found("deny")
}

# METADATA
# title: Held for a person to look at
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
review contains data.gateway.image.findings.reason(finding, fallback_review, "NIST AI 600-1 2.3") if {
	some finding in found("review")
}

# METADATA
# title: Replaced before anything is forwarded
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
mask contains data.gateway.image.findings.reason(finding, fallback_mask, "NIST AI 600-1 2.3") if {
	some finding in found("mask")
}

# METADATA
# title: What to replace with what
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
mask_orders contains {"finding": finding.id, "with": finding.replacement} if {
	some finding in found("mask")
}

# METADATA
# title: What people read when the rule file has no words of its own
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
fallback_deny := "Your request asks for something that our pictures don't show. Describe it another way, then send it again."

# METADATA
# title: The same for review
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
fallback_review := "Your request touches something that a person has to look at first. You will hear from them."

# METADATA
# title: The same for masks
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
fallback_mask := "We replaced a few words of your request with others that our pictures may show."
