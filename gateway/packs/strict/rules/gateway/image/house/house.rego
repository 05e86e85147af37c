# METADATA
# title: The strict pack's own rules about pictures
# description: Unknown departments and words in uploads are refused.
# scope: package
# custom:
#   owner: security-team
package gateway.image.house

import data.gateway.config.house

# METADATA
# title: The department has a name, and is one of those that may make pictures
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-2(7)
department_known if {
	"*" in house.departments
	input.subject.department != ""
}

department_known if input.subject.department in house.departments

department_known if data.gateway.access.service_shown

# METADATA
# title: Refuse people of unknown departments
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-2(7)
deny contains data.gateway.lib.reason(
	"subject.department-unknown",
	"Your department may not make pictures, or is not known here. Ask your administrator to have it entered.",
	"medium", "gateway.image.house.department_known", "NIST SP 800-53 AC-2(7)",
) if {
	not department_known
}

# METADATA
# title: Refuse uploads with words in them that a detector found
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
deny contains data.gateway.lib.reason(
	"request.upload-words",
	"There are words in your upload that may not be sent. Cover or cut them out, then send it again.",
	"medium", "gateway.image.house.deny", "NIST SP 800-53 SC-7(10)",
) if {
	some finding in data.gateway.image.findings.reported
	finding.stage == "upload"
	data.gateway.image.findings.family(finding) in {"dlp", "content"}
}

# METADATA
# title: Nothing is held by this pack's own rules; the floors of gateway/config/findings do that
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
