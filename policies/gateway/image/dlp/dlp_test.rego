package gateway.image.dlp_test

finding := {
	"id": "f1",
	"stage": "prompt",
	"detector": "rule@1",
	"type": "dlp.some-thing",
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
	deny := data.gateway.image.dlp.deny with input as question with data.gateway.config.findings as config
	review := data.gateway.image.dlp.review with input as question with data.gateway.config.findings as config
	mask := data.gateway.image.dlp.mask with input as question with data.gateway.config.findings as config
	orders := data.gateway.image.dlp.mask_orders with input as question with data.gateway.config.findings as config
}

words(set) := {[reason.code, reason.finding, reason.message] | some reason in set}

test_a_denied_finding_is_denied_and_nothing_else if {
	found := answers({})
	words(found.deny) == {["dlp.some-thing", "f1", data.gateway.image.dlp.fallback_deny]}
	found.review == set()
	found.mask == set()
	found.orders == set()
}

test_a_finding_for_review_is_held_and_nothing_else if {
	found := answers({"proposed": "review"})
	words(found.review) == {["dlp.some-thing", "f1", data.gateway.image.dlp.fallback_review]}
	found.deny == set()
	found.mask == set()
	found.orders == set()
}

test_a_finding_to_mask_is_masked_and_nothing_else if {
	found := answers({"proposed": "mask"})
	words(found.mask) == {["dlp.some-thing", "f1", data.gateway.image.dlp.fallback_mask]}
	found.orders == {{"finding": "f1", "with": "r"}}
	found.deny == set()
	found.review == set()
}

test_a_finding_to_allow_leaves_no_trace if {
	answers({"proposed": "allow"}) == {"deny": set(), "review": set(), "mask": set(), "orders": set()}
}

test_other_families_are_others_business if {
	every effect in ["deny", "review", "mask"] {
		nothing := {"deny": set(), "review": set(), "mask": set(), "orders": set()}
		answers({"type": "content.some-thing", "proposed": effect}) == nothing
	}
}
