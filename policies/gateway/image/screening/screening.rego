# METADATA
# title: Screening that did not happen
# description: "Findings of type screening.*: never allowed, never masked, no exceptions."
# scope: package
# custom:
#   owner: security-team
package gateway.image.screening

# METADATA
# title: A person may look instead, where policy says so
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-17
reviewable if data.gateway.config.findings.screening_unavailable == "review"

# METADATA
# title: Denied unless a person may look instead
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-17
deny contains data.gateway.image.findings.reason(
	finding,
	"We could not check your request, so we did not run it. Try again in a minute.",
	"NIST SP 800-53 SI-17",
) if {
	some finding in data.gateway.image.findings.reported
	startswith(finding.type, "screening.")
	not reviewable
}

# METADATA
# title: Held for a person to look at
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-17
review contains data.gateway.image.findings.reason(
	finding,
	"We could not check your request, so a person has to look at it first. You will hear from them.",
	"NIST SP 800-53 SI-17",
) if {
	some finding in data.gateway.image.findings.reported
	startswith(finding.type, "screening.")
	reviewable
}
