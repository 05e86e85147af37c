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

# What the head and the lexicons come to together, and for whom it is milder.

content_config := {
	"semantic": {
		"review": 0.8,
		"deny": 0.95,
		"agreed": "deny",
		"categories": {"content.lenient": {"review": 0.9, "deny": 1.1, "agreed": "review"}, "content.odd": {"deny": "0.9"}},
	},
}

rules := {
	"severity_floor": {"medium": "allow", "critical": "review"},
	"types": {"content.overridden": "allow", "content.exactly": "review"},
	"min_score": {"content.floored": 0.9},
	"unmaskable": "deny",
	"approvers": ["legal"],
	"exceptions": [
		{
			"type": "content.excepted", "groups": ["nurses"], "effect": "allow",
			"until": "2026-12-01T00:00:00Z", "approved_by_role": "legal",
		},
		{
			"type": "content.held", "groups": ["nurses"], "effect": "review",
			"until": "2026-12-01T00:00:00Z", "approved_by_role": "legal",
		},
	],
}

meant := object.union(finding, {"detector": "semantic@4", "proposed": "review", "score": 0.85, "maskable": false})

ranks_of(findings, day, groups) := ranks if {
	ranks := data.gateway.image.content.ranks with input as {
		"time": day,
		"subject": {"groups": groups},
		"findings": findings,
	}
		with data.gateway.config.findings as rules
		with data.gateway.config.content as content_config
}

rank_of(difference) := ranks_of([object.union(meant, difference)], "2026-11-20T10:00:00Z", ["nurses"])[0]

codes(findings, settings) := {refusal.code |
	some refusal in data.gateway.image.content.deny with input as {
		"time": "2026-11-20T10:00:00Z", "subject": {"groups": []}, "findings": findings,
	}
		with data.gateway.config.findings as rules
		with data.gateway.config.content as settings
}

test_a_score_alone_is_noted_held_or_refused_by_the_thresholds if {
	rank_of({"score": 0.79}) == 0
	rank_of({"score": 0.8}) == 2
	rank_of({"score": 0.9499}) == 2
	rank_of({"score": 0.95}) == 3
}

test_a_category_may_have_thresholds_of_its_own if {
	rank_of({"type": "content.lenient", "score": 0.89}) == 0
	rank_of({"type": "content.lenient", "score": 0.9}) == 2
	rank_of({"type": "content.lenient", "score": 1}) == 2
}

test_the_severity_s_floor_holds_for_a_score_too if {
	rank_of({"severity": "critical", "score": 0.5}) == 2
	rank_of({"severity": "critical", "score": 0.95}) == 3
}

test_only_the_head_s_findings_go_by_score if {
	rank_of({"detector": "some-thing@1", "score": 0.99}) == 2
	rank_of({"detector": "some-thing@1", "proposed": "deny", "score": 0.1}) == 3
}

test_a_category_in_monitor_mode_stays_there if {
	rank_of({"proposed": "allow", "score": 0.99}) == 0
	with_word := [object.union(meant, {"proposed": "allow"}), object.union(finding, {"proposed": "allow"})]
	ranks_of(with_word, "2026-11-20T10:00:00Z", []) == {0: 0, 1: 0}
}

test_the_head_and_a_word_of_its_category_in_one_text_are_refused if {
	noted := object.union(meant, {"score": 0.5})
	word := object.union(finding, {"proposed": "review"})
	ranks_of([noted, word], "2026-11-20T10:00:00Z", []) == {0: 3, 1: 2}
	ranks_of([noted, object.union(word, {"type": "content.other"})], "2026-11-20T10:00:00Z", [])[0] == 0
	ranks_of([noted, object.union(word, {"field": "sketch.0"})], "2026-11-20T10:00:00Z", [])[0] == 0
	ranks_of([noted, object.union(noted, {"id": "f2"})], "2026-11-20T10:00:00Z", [])[0] == 0
}

test_what_agreement_comes_to_may_differ_by_category if {
	lenient := object.union(meant, {"type": "content.lenient", "score": 0.5})
	word := object.union(finding, {"type": "content.lenient", "proposed": "allow"})
	ranks_of([lenient, word], "2026-11-20T10:00:00Z", [])[0] == 2
	critical := object.union(lenient, {"severity": "critical"})
	ranks_of([critical, word], "2026-11-20T10:00:00Z", [])[0] == 2
}

test_agreement_never_lowers_what_a_score_comes_to if {
	settings := object.union(content_config, {"semantic": {"agreed": "allow"}})
	sure := [object.union(meant, {"score": 0.96}), object.union(finding, {"proposed": "allow"})]
	held := [object.union(meant, {"score": 0.5, "severity": "critical"}), object.union(finding, {"proposed": "allow"})]
	words_of(sure, settings) == {["content.some-thing", "f1"]}
	count(words_of(held, settings)) == 0
	reviewed(held, settings) == {["content.some-thing", "f1"]}
}

words_of(findings, settings) := {[reason.code, reason.finding] |
	some reason in data.gateway.image.content.deny with input as {"findings": findings}
		with data.gateway.config.findings as rules
		with data.gateway.config.content as settings
}

reviewed(findings, settings) := {[reason.code, reason.finding] |
	some reason in data.gateway.image.content.review with input as {"findings": findings}
		with data.gateway.config.findings as rules
		with data.gateway.config.content as settings
}

test_overrides_exceptions_and_thresholds_of_the_findings_rules_go_before_a_score if {
	rank_of({"type": "content.overridden", "score": 0.99}) == 0
	rank_of({"type": "content.excepted", "score": 0.99}) == 0
	rank_of({"type": "content.floored", "score": 0.85}) == 0
	rank_of({"type": "content.floored", "score": 0.96}) == 3
}

test_an_exception_holds_for_its_group_until_its_day_whatever_the_score if {
	sure := object.union(meant, {"type": "content.excepted", "score": 0.99, "proposed": "deny"})
	ranks_of([sure], "2026-11-20T10:00:00Z", ["nurses"])[0] == 0
	ranks_of([sure], "2026-11-20T10:00:00Z", ["others"])[0] == 3
	ranks_of([sure], "2026-12-01T00:00:00Z", ["nurses"])[0] == 3
	ranks_of([object.union(sure, {"severity": "critical"})], "2026-11-20T10:00:00Z", ["nurses"])[0] == 3
}

test_agreement_does_not_raise_what_an_override_or_exception_says if {
	every category in ["exactly", "held"] {
		held := object.union(meant, {"type": sprintf("content.%s", [category])})
		word := object.union(finding, {"type": held.type, "proposed": "review"})
		ranks_of([held, word], "2026-11-20T10:00:00Z", ["nurses"]) == {0: 2, 1: 2}
	}
}

test_findings_of_another_family_are_none_of_ours if {
	ranks_of([object.union(finding, {"type": "dlp.email"})], "2026-11-20T10:00:00Z", []) == {}
	ranks_of([object.union(meant, {"type": "dlp.phone"})], "2026-11-20T10:00:00Z", []) == {}
}

test_what_these_rules_do_not_understand_is_refused if {
	codes([object.union(meant, {"type": "content.odd"})], content_config) == {"policy.finding-unknown"}
	codes([meant], {}) == {"policy.finding-unknown"}
	codes([meant], {"semantic": {"review": "0.8", "deny": 0.95}}) == {"policy.finding-unknown"}
	word := object.union(finding, {"proposed": "allow"})
	codes([meant, word], {"semantic": {"review": 0.8, "deny": 0.95, "agreed": "dney"}}) == {"policy.finding-unknown"}
	codes([object.union(finding, {"type": "dlp.x", "proposed": "allow"})], content_config) == set()
	codes([object.union(finding, {"proposed": "allow"})], content_config) == set()
}
