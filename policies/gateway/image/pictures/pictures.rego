# METADATA
# title: What was seen in pictures
# description: Findings of type picture.* about uploads and outputs; faces and nudity by the thresholds of the config.
# scope: package
# custom:
#   owner: security-team
package gateway.image.pictures

# METADATA
# title: The configuration of pictures
# description: A rule and no import, because the embedded engine works out a rule once a decision and an import wherever it stands.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 CM-6
config := data.gateway.config.pictures

# METADATA
# title: The effects that a face may come to; a mark is what every picture of ours carries anyway
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.4
face_ranks := object.union(data.gateway.lib.effect_rank, {"mark": data.gateway.lib.effect_rank.allow})

# METADATA
# title: The kinds of faces
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.4
kinds := {"picture.face-realistic": "realistic", "picture.face-doubtful": "doubtful"}

# METADATA
# title: What the person's groups make of a kind of face
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3(7)
group_ranks(finding) := {face_ranks[row.effect] |
	some row in config.faces.groups
	row.group in input.subject.groups
	row.stage == finding.stage
	row.kind == kinds[finding.type]
}

# METADATA
# title: What a face comes to
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.4
face_rank(finding) := min(ranks_by_group) if {
	ranks_by_group := group_ranks(finding)
	count(ranks_by_group) > 0
} else := face_ranks[of_stage[kinds[finding.type]]] if {
	of_stage := config.faces[finding.stage]
}

# METADATA
# title: What a score of nudity comes to
# description: Thresholds that are no numbers leave it undefined, which is a denial.
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
nudity_rank(finding) := by_thresholds(finding.score, limits.review, limits.deny) if {
	limits := config.nudity[finding.stage]
	is_number(limits.review)
	is_number(limits.deny)
}

# METADATA
# title: A score against two thresholds
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
by_thresholds(score, review_from, deny_from) := data.gateway.lib.effect_rank.deny if {
	score >= deny_from
} else := data.gateway.lib.effect_rank.review if {
	score >= review_from
} else := data.gateway.lib.effect_rank.allow

# METADATA
# title: The findings' own rules have the last word already
# description: An override of the type, an exception in force, a score below the type's threshold, a role it is noted for.
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
settled(finding) if data.gateway.config.findings.types[finding.type]

settled(finding) if count(data.gateway.image.findings.excepted_ranks(finding)) > 0

settled(finding) if data.gateway.image.findings.below_threshold(finding)

settled(finding) if data.gateway.image.findings.only_noted(finding)

# METADATA
# title: The finding goes by the config of pictures
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
by_config(finding) if {
	finding.type in object.keys(kinds) | {"picture.nudity"}
	not settled(finding)
}

# METADATA
# title: The rank that the config gives
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
config_rank(finding) := face_rank(finding)

config_rank(finding) := nudity_rank(finding) if finding.type == "picture.nudity"

# METADATA
# title: The rank of each finding of this family, by its place in the list
# description: Undefined for one that these rules don't understand, which is a denial.
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
ranks[place] := settled_rank if {
	some place, finding in data.gateway.image.findings.reported
	startswith(finding.type, "picture.")
	settled_rank := rank(place, finding)
}

# METADATA
# title: What the config says and at least the floor of the severity, or what the findings' own rules say
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
rank(_, finding) := max({config_rank(finding), floor(finding)}) if by_config(finding)

rank(place, finding) := data.gateway.image.findings.ranks[place] if not by_config(finding)

# METADATA
# title: The floor of the severity
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
floor(finding) := data.gateway.lib.effect_rank[data.gateway.config.findings.severity_floor[finding.severity]]

# METADATA
# title: Refuse what these rules don't understand
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
deny contains data.gateway.lib.reason(
	"policy.finding-unknown",
	"Screening found something that the rules in force don't know, and that means no. Tell your administrator.",
	"high", "gateway.image.pictures.ranks", "NIST SP 800-53 SI-10",
) if {
	some place, finding in data.gateway.image.findings.reported
	startswith(finding.type, "picture.")
	not ranks[place]
}

# METADATA
# title: Denied
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
deny contains data.gateway.image.findings.reason(finding, fallback_deny, "NIST AI 600-1 2.3") if {
	some place, finding in data.gateway.image.findings.reported
	ranks[place] == data.gateway.lib.effect_rank.deny
}

# METADATA
# title: Held for a person to look at
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
review contains data.gateway.image.findings.reason(finding, fallback_review, "NIST AI 600-1 2.3") if {
	some place, finding in data.gateway.image.findings.reported
	ranks[place] == data.gateway.lib.effect_rank.review
}

# METADATA
# title: What people read when the detector has no words of its own
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
fallback_deny := "This picture shows something that our pictures don't show. Use or describe another one."

# METADATA
# title: The same for review
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
fallback_review := "A person has to look at this picture first. You will hear from them."
