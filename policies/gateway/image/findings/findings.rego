# METADATA
# title: What a finding comes to
# description: A detector proposes; the floors, overrides and exceptions of gateway/config/findings decide.
# scope: package
# custom:
#   owner: security-team
package gateway.image.findings

# METADATA
# title: The configuration of findings
# description: A rule and no import, because the embedded engine works out a rule once a decision and an import wherever it stands.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 CM-6
config := data.gateway.config.findings

# METADATA
# title: The effects and their order
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
rank_of := data.gateway.lib.effect_rank

# METADATA
# title: The families of findings that these rules know
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
families := {"dlp", "content", "picture", "memorisation", "screening"}

# METADATA
# title: The first half of a finding's type
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
family(finding) := parts[0] if parts := split(finding.type, ".")

# METADATA
# title: What is proposed, and at least the floor of the severity
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
proposed_rank(finding) := max({
	rank_of[finding.proposed],
	rank_of[config.severity_floor[finding.severity]],
})

# METADATA
# title: Exceptions in force for this person, today
# description: An exception without groups or date, or behind which no role stands that may approve one, is for nobody.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3(10)
exceptions contains exception if {
	some exception in config.exceptions
	exception.approved_by_role in config.approvers
	some group in exception.groups
	group in input.subject.groups
	time.parse_rfc3339_ns(input.time) < time.parse_rfc3339_ns(exception.until)
}

# METADATA
# title: The ranks that exceptions give to a finding; never to a critical one
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3(10)
excepted_ranks(finding) := {rank_of[exception.effect] |
	some exception in exceptions
	exception.type == finding.type
	finding.severity != "critical"
}

# METADATA
# title: The finding's score is below the threshold of its type
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-4
below_threshold(finding) if finding.score < config.min_score[finding.type]

# METADATA
# title: The finding's type is only noted for a role of this person; never a critical one
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3(10)
only_noted(finding) if {
	finding.severity != "critical"
	some role in input.subject.roles
	role in config.monitor_roles[finding.type]
}

# METADATA
# title: The rank before asking whether a mask is possible
# description: An override that names no known effect leaves the rank undefined, which is a denial.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
wanted_rank(finding) := rank_of.allow if {
	below_threshold(finding)
} else := rank_of.allow if {
	only_noted(finding)
} else := max(ranks_by_exception) if {
	ranks_by_exception := excepted_ranks(finding)
	count(ranks_by_exception) > 0
} else := proposed_rank(finding) if {
	not config.types[finding.type]
} else := rank_of[config.types[finding.type]]

# METADATA
# title: A span of the prompt can be replaced one for one
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
maskable(finding) if {
	finding.maskable == true
	finding.replacement != ""
	finding.stage == "prompt"
	replaceable(finding)
}

# METADATA
# title: It stands in the prompt or in one label of a sketch
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
replaceable(finding) if finding.field == "prompt"

replaceable(finding) if startswith(finding.field, "sketch.")

# METADATA
# title: The rank of a finding, 0 for allow to 3 for deny
# description: Undefined for a finding that these rules don't understand, which is a denial.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
rank(finding) := settled(finding, wanted_rank(finding))

# METADATA
# title: A mask where a mask is possible, else what stands in for it
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
settled(finding, wanted) := wanted if {
	wanted != rank_of.mask
} else := wanted if {
	maskable(finding)
} else := rank_of[config.unmaskable]

# METADATA
# title: The findings arrived as a list
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
listed if is_array(input.findings)

# METADATA
# title: The findings of this request and stage
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
reported := input.findings if {
	listed
} else := []

# METADATA
# title: The rank of each finding, by its place in the list
# description: A finding of an unknown family, or without what a reason needs, has none.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
ranks[place] := settled_rank if {
	some place, finding in reported
	family(finding) in families
	is_string(finding.id)
	is_string(finding.severity)
	is_string(finding.detector)
	settled_rank := rank(finding)
}

# METADATA
# title: Refuse without a list of findings
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
deny contains data.gateway.lib.reason(
	"policy.findings-missing",
	"The rules did not learn what screening found, and that means no. Tell your administrator.",
	"high", "gateway.image.findings.listed", "NIST SP 800-53 SI-10",
) if {
	not listed
}

# METADATA
# title: Refuse findings that these rules don't understand
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
deny contains data.gateway.lib.reason(
	"policy.finding-unknown",
	"Screening found something that the rules in force don't know, and that means no. Tell your administrator.",
	"high", "gateway.image.findings.ranks", "NIST SP 800-53 SI-10",
) if {
	some place, _ in reported
	not ranks[place]
}

# METADATA
# title: A finding as a reason
# description: The coaching text is the rule file's own where it has one.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
reason(finding, fallback, control) := object.union(
	data.gateway.lib.reason(finding.type, message(finding, fallback), finding.severity, finding.detector, control),
	{"finding": finding.id},
)

# METADATA
# title: The rule file's message, or the family's
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
message(finding, fallback) := finding.message if {
	finding.message != ""
} else := fallback
