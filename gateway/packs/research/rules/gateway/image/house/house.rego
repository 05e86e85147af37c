# METADATA
# title: The research pack's own rules about pictures
# description: What is never relaxed, whatever else is.
# scope: package
# custom:
#   owner: security-team
package gateway.image.house

import data.gateway.config.house

# METADATA
# title: There is a list of what is never relaxed
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
listed if is_array(house.never_relaxed)

# METADATA
# title: Refuse everything without that list
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
deny contains data.gateway.lib.reason(
	"policy.list-missing",
	"The rules in force lack a list that they need, and that means no. Tell your administrator.",
	"high", "gateway.image.house.listed", "NIST SP 800-53 SC-7(10)",
) if {
	not listed
}

# METADATA
# title: Refuse cards and credentials, whatever an exception or a role's monitoring says
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
deny contains data.gateway.image.findings.reason(
	finding,
	"There is a card, an account or a credential in it. Leave it out, then send it again.",
	"NIST SP 800-53 SC-7(10)",
) if {
	some finding in data.gateway.image.findings.reported
	finding.type in house.never_relaxed
}

# METADATA
# title: Nothing is held by this pack's own rules
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
review := set()

# METADATA
# title: Who would look at it
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
queue := "content"
