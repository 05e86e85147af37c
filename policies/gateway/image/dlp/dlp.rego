# METADATA
# title: Sensitive data
# description: "Findings of type dlp.*: what may not leave in a prompt, an upload or a picture."
# scope: package
# custom:
#   owner: security-team
package gateway.image.dlp

# METADATA
# title: What each finding comes to, by its place in the list
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
ranks := data.gateway.image.findings.ranks

# METADATA
# title: Denied
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
deny contains data.gateway.image.findings.reason(finding, fallback_deny, "NIST SP 800-53 SC-7(10)") if {
	some place, finding in data.gateway.image.findings.reported
	startswith(finding.type, "dlp.")
	ranks[place] == data.gateway.lib.effect_rank.deny
}

# METADATA
# title: Held for a person to look at
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
review contains data.gateway.image.findings.reason(finding, fallback_review, "NIST SP 800-53 SC-7(10)") if {
	some place, finding in data.gateway.image.findings.reported
	startswith(finding.type, "dlp.")
	ranks[place] == data.gateway.lib.effect_rank.review
}

# METADATA
# title: Replaced before anything is forwarded
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
mask contains data.gateway.image.findings.reason(finding, fallback_mask, "NIST SP 800-53 SC-7(10)") if {
	some place, finding in data.gateway.image.findings.reported
	startswith(finding.type, "dlp.")
	ranks[place] == data.gateway.lib.effect_rank.mask
}

# METADATA
# title: What to replace with what
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
mask_orders contains {"finding": finding.id, "with": finding.replacement} if {
	some place, finding in data.gateway.image.findings.reported
	startswith(finding.type, "dlp.")
	ranks[place] == data.gateway.lib.effect_rank.mask
}

# METADATA
# title: What people read when the rule file has no words of its own
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
fallback_deny := "There is something in your request that may not be sent to the model. Take it out, then send it again."

# METADATA
# title: The same for review
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
fallback_review := "There is something in your request that a person has to look at first. You will hear from them."

# METADATA
# title: The same for masks
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
fallback_mask := "We replaced something that may not be sent to the model with a made-up value."
