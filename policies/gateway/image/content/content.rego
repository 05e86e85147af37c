# METADATA
# title: What pictures may show
# description: "Findings of type content.*: G-rated by default, milder for a group where an exception says so."
# scope: package
# custom:
#   owner: security-team
package gateway.image.content

# METADATA
# title: The configuration of content
# description: A rule and no import, because the embedded engine works out a rule once a decision and an import wherever it stands.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 CM-6
config := data.gateway.config.content

# METADATA
# title: Found by its meaning, not by a word
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
semantic(finding) if startswith(finding.detector, "semantic@")

# METADATA
# title: Found by its meaning in a category that is enforced
# description: In monitor mode a finding proposes to allow, and its score counts for nothing.
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
by_meaning(finding) if {
	semantic(finding)
	finding.proposed != "allow"
}

# METADATA
# title: The findings' own rules have the last word already
# description: An override of the type, an exception in force, or whatever else made it another than was proposed.
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
settled(finding, _) if data.gateway.config.findings.types[finding.type]

settled(finding, _) if count(data.gateway.image.findings.excepted_ranks(finding)) > 0

settled(finding, given) if given != data.gateway.image.findings.proposed_rank(finding)

# METADATA
# title: What the config says of a category, or of all
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
setting(finding, name) := own if {
	category := config.semantic.categories[finding.type]
	own := category[name]
} else := config.semantic[name]

# METADATA
# title: A word of the same category stands in the same text
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
agreed(finding) if {
	some other in data.gateway.image.findings.reported
	other.type == finding.type
	other.field == finding.field
	not semantic(other)
}

# METADATA
# title: What a score comes to
# description: Thresholds that are no numbers leave it undefined, which is a denial.
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
score_rank(finding) := by_thresholds(finding.score, review_from, deny_from) if {
	review_from := setting(finding, "review")
	deny_from := setting(finding, "deny")
	is_number(review_from)
	is_number(deny_from)
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
# title: What is found by its meaning comes to, and at least the floor of the severity
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
meaning_rank(finding) := max({score_rank(finding), floor(finding)}) if not agreed(finding)

meaning_rank(finding) := max({score_rank(finding), agreed_rank, floor(finding)}) if {
	agreed(finding)
	agreed_rank := data.gateway.lib.effect_rank[setting(finding, "agreed")]
}

# METADATA
# title: The floor of the severity
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
floor(finding) := data.gateway.lib.effect_rank[data.gateway.config.findings.severity_floor[finding.severity]]

# METADATA
# title: Nothing but the findings' own rules has a say
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
plain(finding, given) if settled(finding, given)

plain(finding, _) if not by_meaning(finding)

# METADATA
# title: The rank of each finding of this family, by its place in the list
# description: Undefined for one that these rules don't understand, which is a denial.
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
ranks[place] := settled_rank if {
	some place, finding in data.gateway.image.findings.reported
	startswith(finding.type, "content.")
	settled_rank := rank(finding, data.gateway.image.findings.ranks[place])
}

# METADATA
# title: What was given, or what the meaning comes to
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
rank(finding, given) := given if {
	plain(finding, given)
} else := meaning_rank(finding)

# METADATA
# title: Refuse what these rules don't understand
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
deny contains data.gateway.lib.reason(
	"policy.finding-unknown",
	"Screening found something that the rules in force don't know, and that means no. Tell your administrator.",
	"high", "gateway.image.content.ranks", "NIST SP 800-53 SI-10",
) if {
	some place, finding in data.gateway.image.findings.reported
	startswith(finding.type, "content.")
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
# title: Replaced before anything is forwarded
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
mask contains data.gateway.image.findings.reason(finding, fallback_mask, "NIST AI 600-1 2.3") if {
	some place, finding in data.gateway.image.findings.reported
	ranks[place] == data.gateway.lib.effect_rank.mask
}

# METADATA
# title: What to replace with what
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
mask_orders contains {"finding": finding.id, "with": finding.replacement} if {
	some place, finding in data.gateway.image.findings.reported
	ranks[place] == data.gateway.lib.effect_rank.mask
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
