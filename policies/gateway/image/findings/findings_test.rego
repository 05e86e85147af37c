package gateway.image.findings_test

config := {
	"severity_floor": {"low": "allow", "medium": "allow", "high": "mask", "critical": "review"},
	"types": {"dlp.override": "deny", "dlp.milder": "allow", "dlp.slip": "dney"},
	"min_score": {"content.violence": 0.6},
	"unmaskable": "deny",
	"screening_unavailable": "deny",
	"approvers": ["legal"],
	"monitor_roles": {"dlp.noted": ["auditor"]},
	"exceptions": [
		{
			"type": "content.alone", "groups": ["press"], "effect": "allow", "until": "2026-12-01T00:00:00Z",
			"approved_by_role": "press",
		},
		{"type": "content.unsigned", "groups": ["press"], "effect": "allow", "until": "2026-12-01T00:00:00Z"},
		{
			"type": "content.politics", "groups": ["press"], "effect": "allow", "until": "2026-12-01T00:00:00Z",
			"approved_by_role": "legal",
		},
		{
			"type": "content.politics", "groups": ["interns"], "effect": "review", "until": "2026-12-01T00:00:00Z",
			"approved_by_role": "legal",
		},
		{"type": "content.forever", "groups": ["press"], "effect": "allow", "approved_by_role": "legal"},
		{"type": "content.nobody", "effect": "allow", "until": "2026-12-01T00:00:00Z", "approved_by_role": "legal"},
	],
}

base := {
	"id": "f1",
	"stage": "prompt",
	"detector": "rule@1",
	"type": "dlp.email",
	"severity": "medium",
	"score": 1,
	"field": "prompt",
	"maskable": true,
	"replacement": "someone@example.com",
	"message": "m",
	"proposed": "mask",
}

# The rank of a finding that differs from the base one, on a day, for somebody's groups.
ranks_on(day, groups, difference) := ranks if {
	ranks := data.gateway.image.findings.ranks with input as {
		"time": day,
		"subject": {"groups": groups},
		"findings": [object.union(base, difference)],
	}
		with data.gateway.config.findings as config
}

rank(difference) := ranks_on("2026-11-20T10:00:00Z", [], difference)[0]

excepted(day, groups, difference) := ranks_on(day, groups, object.union({"proposed": "deny"}, difference))[0]

codes(findings) := {refusal.code |
	some refusal in data.gateway.image.findings.deny with input as {"findings": findings}
		with data.gateway.config.findings as config
}

test_the_rule_file_s_proposal_holds if {
	rank({"proposed": "allow"}) == 0
	rank({"proposed": "mask"}) == 1
	rank({"proposed": "review"}) == 2
	rank({"proposed": "deny"}) == 3
}

test_the_severity_s_floor_raises_a_milder_proposal if {
	rank({"proposed": "allow", "severity": "high"}) == 1
	rank({"proposed": "allow", "severity": "critical"}) == 2
}

test_the_severity_s_floor_never_lowers_a_proposal if rank({"proposed": "deny", "severity": "low"}) == 3

test_a_type_can_be_overridden_either_way if {
	rank({"type": "dlp.override"}) == 3
	rank({"type": "dlp.milder", "proposed": "deny"}) == 0
}

test_an_override_with_a_slip_in_it_leaves_no_rank if {
	not rank({"type": "dlp.slip", "proposed": "allow"})
	codes([object.union(base, {"type": "dlp.slip"})]) == {"policy.finding-unknown"}
}

test_a_score_below_the_threshold_has_no_effect if {
	rank({"type": "content.violence", "proposed": "deny", "score": 0.59}) == 0
}

test_a_score_at_the_threshold_has if {
	rank({"type": "content.violence", "proposed": "deny", "score": 0.6}) == 3
}

test_a_finding_without_a_score_counts_in_full if {
	finding := object.remove(object.union(base, {"type": "content.violence", "proposed": "deny"}), ["score"])
	ranks := data.gateway.image.findings.ranks with input as {"findings": [finding]}
		with data.gateway.config.findings as config
	ranks[0] == 3
}

test_an_exception_helps_its_group if {
	excepted("2026-11-20T10:00:00Z", ["press"], {"type": "content.politics"}) == 0
}

test_an_exception_helps_nobody_else if {
	excepted("2026-11-20T10:00:00Z", ["sales"], {"type": "content.politics"}) == 3
}

test_an_exception_helps_with_its_type_only if {
	excepted("2026-11-20T10:00:00Z", ["press"], {"type": "content.gore"}) == 3
}

test_an_exception_ends_on_its_day if {
	excepted("2026-12-01T00:00:00Z", ["press"], {"type": "content.politics"}) == 3
}

test_of_two_exceptions_the_stricter_holds if {
	excepted("2026-11-20T10:00:00Z", ["press", "interns"], {"type": "content.politics"}) == 2
}

test_an_exception_without_a_date_is_none if {
	excepted("2026-11-20T10:00:00Z", ["press"], {"type": "content.forever"}) == 3
}

test_an_exception_without_groups_is_none if {
	excepted("2026-11-20T10:00:00Z", ["press"], {"type": "content.nobody"}) == 3
}

test_an_exception_that_nobody_may_approve_is_none if {
	excepted("2026-11-20T10:00:00Z", ["press"], {"type": "content.alone"}) == 3
	excepted("2026-11-20T10:00:00Z", ["press"], {"type": "content.unsigned"}) == 3
}

noted(roles, difference) := ranks[0] if {
	finding := object.union(base, object.union({"type": "dlp.noted", "proposed": "deny"}, difference))
	ranks := data.gateway.image.findings.ranks with input as {"findings": [finding], "subject": {"roles": roles}}
		with data.gateway.config.findings as config
}

test_a_type_may_be_only_noted_for_a_role if {
	noted(["employee", "auditor"], {}) == 0
	noted(["employee"], {}) == 3
	noted(["auditor"], {"type": "dlp.other"}) == 3
}

test_a_critical_finding_is_never_only_noted if noted(["auditor"], {"severity": "critical"}) == 3

test_there_is_no_exception_from_a_critical_finding if {
	excepted("2026-11-20T10:00:00Z", ["press"], {"type": "content.politics", "severity": "critical"}) == 3
}

test_what_can_not_be_masked_is_denied if {
	rank({"maskable": false}) == 3
	rank({"replacement": ""}) == 3
	rank({"stage": "upload"}) == 3
	rank({"field": "negative_prompt"}) == 3
}

test_the_label_of_a_sketch_is_masked_like_the_prompt if {
	rank({"field": "sketch.0"}) == 1
	rank({"field": "sketch"}) == 3
}

test_what_was_not_to_be_masked_need_not_be_maskable if {
	rank({"maskable": false, "proposed": "review"}) == 2
	rank({"maskable": false, "proposed": "allow"}) == 0
}

test_what_can_not_be_masked_has_no_rank_when_nobody_said_what_then if {
	ranks := data.gateway.image.findings.ranks with input as {"findings": [object.union(base, {"maskable": false})]}
		with data.gateway.config.findings as object.remove(config, ["unmaskable"])
	count(ranks) == 0
}

test_unknown_families_are_refused if {
	codes([object.union(base, {"type": "mystery.box"})]) == {"policy.finding-unknown"}
}

test_unknown_proposals_and_severities_are_refused if {
	codes([object.union(base, {"proposed": "shrug"})]) == {"policy.finding-unknown"}
	codes([object.union(base, {"severity": "so-so"})]) == {"policy.finding-unknown"}
}

test_findings_without_what_a_reason_needs_are_refused if {
	codes([object.remove(base, ["id"])]) == {"policy.finding-unknown"}
	codes([object.remove(base, ["detector"])]) == {"policy.finding-unknown"}
	codes([object.union(base, {"severity": 3})]) == {"policy.finding-unknown"}
}

test_one_unknown_finding_among_known_ones_is_refused if {
	codes([base, object.union(base, {"id": "f2", "type": "mystery.box"}), base]) == {"policy.finding-unknown"}
}

test_a_finding_without_a_rank_takes_none_from_others if {
	odd := object.union(base, {"id": "f2", "proposed": "shrug"})
	ranks := data.gateway.image.findings.ranks with input as {"findings": [odd, base]}
		with data.gateway.config.findings as config
	ranks == {1: 1}
	codes([base, odd]) == {"policy.finding-unknown"}
	codes([odd, base]) == {"policy.finding-unknown"}
}

test_a_severity_must_be_text_also_where_it_decides_nothing if {
	finding := object.union(base, {"type": "dlp.override", "severity": 3})
	codes([finding]) == {"policy.finding-unknown"}
}

test_known_findings_are_not_refused_here if codes([base]) == set()

test_no_findings_are_no_reason_to_refuse if codes([]) == set()

test_findings_that_are_no_list_are_refused if {
	codes(null) == {"policy.findings-missing"}
	codes({"f1": base}) == {"policy.findings-missing"}
}

test_missing_configuration_leaves_no_rank if {
	found := {refusal.code |
		some refusal in data.gateway.image.findings.deny with input as {"findings": [base]}
			with data.gateway.config.findings as {}
	}
	found == {"policy.finding-unknown"}
}

test_a_reason_speaks_with_the_rule_file_s_words if {
	reason := data.gateway.image.findings.reason(base, "fallback", "AC-1")
	reason == {
		"code": "dlp.email", "message": "m", "severity": "medium", "rule": "rule@1", "control": "AC-1", "finding": "f1",
	}
}

test_a_reason_falls_back_to_the_family_s_words if {
	data.gateway.image.findings.reason(object.union(base, {"message": ""}), "fallback", "AC-1").message == "fallback"
	data.gateway.image.findings.reason(object.remove(base, ["message"]), "fallback", "AC-1").message == "fallback"
}
