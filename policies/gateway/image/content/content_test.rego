package gateway.image.content_test

finding := {
	"id": "f1",
	"stage": "prompt",
	"detector": "rule@1",
	"type": "content.some-thing",
	"severity": "medium",
	"score": 1,
	"field": "prompt",
	"maskable": true,
	"replacement": "r",
	"message": "",
	"proposed": "deny",
}

config := {
	"severity_floor": {"medium": "allow"},
	"types": {},
	"min_score": {},
	"unmaskable": "deny",
	"exceptions": [],
}

# The four sets of answers to a finding that differs from the one above.
answers(difference) := {"deny": deny, "review": review, "mask": mask, "orders": orders} if {
	question := {"findings": [object.union(finding, difference)]}
	deny := data.gateway.image.content.deny with input as question with data.gateway.config.findings as config
	review := data.gateway.image.content.review with input as question with data.gateway.config.findings as config
	mask := data.gateway.image.content.mask with input as question with data.gateway.config.findings as config
	orders := data.gateway.image.content.mask_orders with input as question with data.gateway.config.findings as config
}

words(set) := {[reason.code, reason.finding, reason.message] | some reason in set}

test_a_denied_finding_is_denied_and_nothing_else if {
	found := answers({})
	words(found.deny) == {["content.some-thing", "f1", data.gateway.image.content.fallback_deny]}
	found.review == set()
	found.mask == set()
	found.orders == set()
}

test_a_finding_for_review_is_held_and_nothing_else if {
	found := answers({"proposed": "review"})
	words(found.review) == {["content.some-thing", "f1", data.gateway.image.content.fallback_review]}
	found.deny == set()
	found.mask == set()
	found.orders == set()
}

test_a_finding_to_mask_is_masked_and_nothing_else if {
	found := answers({"proposed": "mask"})
	words(found.mask) == {["content.some-thing", "f1", data.gateway.image.content.fallback_mask]}
	found.orders == {{"finding": "f1", "with": "r"}}
	found.deny == set()
	found.review == set()
}

test_a_finding_to_allow_leaves_no_trace if {
	answers({"proposed": "allow"}) == {"deny": set(), "review": set(), "mask": set(), "orders": set()}
}

test_other_families_are_others_business if {
	answers({"type": "dlp.some-thing"}) == {"deny": set(), "review": set(), "mask": set(), "orders": set()}
}
