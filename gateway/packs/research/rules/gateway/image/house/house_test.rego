package gateway.image.house_test

finding := {
	"id": "f1", "stage": "prompt", "type": "dlp.jwt", "severity": "high", "detector": "jwt@1", "message": "", "score": 1,
	"field": "prompt", "maskable": true, "replacement": "TOKEN", "proposed": "mask",
}

refused(findings, house) := codes if {
	refusals := data.gateway.image.house.deny with input as {"subject": {"roles": ["employee"]}, "findings": findings}
		with data.gateway.config.house as house
	codes := {reason.code | some reason in refusals}
}

test_what_is_never_relaxed_is_refused if refused([finding], {"never_relaxed": ["dlp.jwt"]}) == {"dlp.jwt"}

test_monitoring_does_not_help if {
	refusals := data.gateway.image.house.deny with input as {"subject": {"roles": ["employee"]}, "findings": [finding]}
		with data.gateway.config.house as {"never_relaxed": ["dlp.jwt"]}
		with data.gateway.config.findings.monitor_roles as {"dlp.jwt": ["employee"]}
	{reason.code | some reason in refusals} == {"dlp.jwt"}
}

test_the_rest_is_left_to_the_other_rules if {
	refused([object.union(finding, {"type": "dlp.project-code-name"})], {"never_relaxed": ["dlp.jwt"]}) == set()
	refused([], {"never_relaxed": ["dlp.jwt"]}) == set()
}

test_without_the_list_everything_is_refused if {
	refused([], {}) == {"policy.list-missing"}
	refused([], {"never_relaxed": null}) == {"policy.list-missing"}
}

test_nothing_is_held if {
	data.gateway.image.house.review == set()
	data.gateway.image.house.queue == "content"
}
