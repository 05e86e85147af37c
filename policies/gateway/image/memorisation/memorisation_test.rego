package gateway.image.memorisation_test

finding := {
	"id": "output.f1", "stage": "output", "detector": "pdq-watch@1", "type": "memorisation.near-duplicate",
	"severity": "medium", "score": 0.9, "field": "pictures[0]", "maskable": false, "replacement": "", "message": "",
	"proposed": "review",
}

rules := {
	"severity_floor": {"medium": "allow", "critical": "review"},
	"types": {},
	"min_score": {},
	"unmaskable": "deny",
	"exceptions": [],
}

answers(difference, overrides) := {"deny": deny, "review": review} if {
	question := {"findings": [object.union(finding, difference)], "subject": {"groups": [], "roles": ["employee"]}}
	settings := object.union(rules, overrides)
	deny := data.gateway.image.memorisation.deny with input as question with data.gateway.config.findings as settings
	review := data.gateway.image.memorisation.review with input as question with data.gateway.config.findings as settings
}

words(set) := {[reason.code, reason.finding, reason.message] | some reason in set}

test_a_remembered_picture_is_held_and_nothing_else if {
	found := answers({}, {})
	words(found.review) == {["memorisation.near-duplicate", "output.f1", data.gateway.image.memorisation.fallback_review]}
	found.deny == set()
}

test_a_company_may_deny_instead if {
	found := answers({}, {"types": {"memorisation.near-duplicate": "deny"}})
	words(found.deny) == {["memorisation.near-duplicate", "output.f1", data.gateway.image.memorisation.fallback_deny]}
	found.review == set()
}

test_a_company_may_only_note_it if {
	answers({}, {"types": {"memorisation.near-duplicate": "allow"}}) == {"deny": set(), "review": set()}
}

test_one_that_is_less_alike_than_the_threshold_is_only_noted if {
	answers({}, {"min_score": {"memorisation.near-duplicate": 0.95}}) == {"deny": set(), "review": set()}
}

test_other_families_are_others_business if {
	answers({"type": "picture.violence", "proposed": "deny"}, {}) == {"deny": set(), "review": set()}
	answers({"type": "picture.violence", "proposed": "review"}, {}) == {"deny": set(), "review": set()}
}
