package gateway.image.screening_test

finding := {
	"id": "f1",
	"stage": "prompt",
	"detector": "screening@1",
	"type": "screening.unavailable",
	"severity": "low",
	"message": "",
	"proposed": "allow",
}

answers(difference, effect) := {"deny": deny, "review": review} if {
	question := {"findings": [object.union(finding, difference)]}
	config := {"screening_unavailable": effect}
	deny := {reason.code |
		some reason in data.gateway.image.screening.deny with input as question with data.gateway.config.findings as config
	}
	review := {reason.code |
		some reason in data.gateway.image.screening.review with input as question
			with data.gateway.config.findings as config
	}
}

test_it_is_denied_where_policy_says_so if {
	answers({}, "deny") == {"deny": {"screening.unavailable"}, "review": set()}
}

test_it_is_held_where_policy_says_so if {
	answers({}, "review") == {"deny": set(), "review": {"screening.unavailable"}}
}

test_it_is_denied_where_policy_says_something_else if {
	answers({}, "allow") == {"deny": {"screening.unavailable"}, "review": set()}
	answers({}, "mask") == {"deny": {"screening.unavailable"}, "review": set()}
}

test_every_kind_of_failure_counts if {
	answers({"type": "screening.late"}, "deny") == {"deny": {"screening.late"}, "review": set()}
}

test_other_families_are_others_business if {
	answers({"type": "dlp.email"}, "deny") == {"deny": set(), "review": set()}
	answers({"type": "dlp.email"}, "review") == {"deny": set(), "review": set()}
}
