package gateway.image.pictures_test

finding := {
	"id": "upload.f1", "stage": "upload", "detector": "some-net@1", "type": "picture.face-realistic",
	"severity": "medium", "score": 0.9, "field": "image", "maskable": false, "replacement": "", "message": "",
	"proposed": "allow",
}

rules := {
	"severity_floor": {"medium": "allow", "high": "review"},
	"types": {"picture.overridden": "allow"},
	"min_score": {},
	"unmaskable": "deny",
	"exceptions": [],
}

config := {
	"faces": {
		"upload": {"realistic": "deny", "doubtful": "review"},
		"output": {"realistic": "mark", "doubtful": "no effect"},
		"groups": [
			{"group": "portraits", "stage": "upload", "kind": "realistic", "effect": "review"},
			{"group": "studio", "stage": "upload", "kind": "realistic", "effect": "allow"},
			{"group": "odd", "stage": "upload", "kind": "realistic", "effect": "no effect"},
		],
	},
	"nudity": {"upload": {"review": 0.6, "deny": 0.85}, "output": {"review": "0.6", "deny": 0.85}},
}

config_without(bad) := object.union(config, {"nudity": {"upload": bad}})

codes_for(bad, score) := {reason.code |
	question := {"findings": [object.union(finding, {"type": "picture.nudity", "score": score})], "subject": {"groups": []}}
	some reason in data.gateway.image.pictures.deny with input as question
		with data.gateway.config.pictures as config_without(bad)
		with data.gateway.config.findings as rules
}

asked(difference, groups, overrides) := {"ranks": ranks, "deny": deny, "review": review} if {
	question := {"findings": [object.union(finding, difference)], "subject": {"groups": groups, "roles": ["employee"]}, "time": "2026-11-20T10:00:00Z"}
	settings := object.union(rules, overrides)
	ranks := data.gateway.image.pictures.ranks with input as question with data.gateway.config.pictures as config
		with data.gateway.config.findings as settings
	deny := data.gateway.image.pictures.deny with input as question with data.gateway.config.pictures as config
		with data.gateway.config.findings as settings
	review := data.gateway.image.pictures.review with input as question with data.gateway.config.pictures as config
		with data.gateway.config.findings as settings
}

rank_of(difference, groups) := asked(difference, groups, {}).ranks[0]

codes(set) := {reason.code | some reason in set}

test_a_realistic_face_is_decided_by_stage if {
	rank_of({}, []) == 3
	rank_of({"stage": "output"}, []) == 0
}

test_a_doubtful_face_has_a_rule_of_its_own if {
	rank_of({"type": "picture.face-doubtful"}, []) == 2
}

test_the_mildest_of_a_person_s_groups_holds if {
	rank_of({}, ["portraits"]) == 2
	rank_of({}, ["portraits", "studio"]) == 0
}

test_a_group_s_rule_is_for_its_stage_and_kind_only if {
	rank_of({"type": "picture.face-doubtful"}, ["studio"]) == 2
	rank_of({"stage": "output"}, ["portraits"]) == 0
}

test_a_group_s_rule_that_names_no_effect_gives_nothing if {
	rank_of({}, ["odd"]) == 3
}

test_an_effect_that_nobody_knows_is_a_denial if {
	codes(asked({"type": "picture.face-doubtful", "stage": "output"}, [], {}).deny) == {"policy.finding-unknown"}
}

test_nudity_is_noted_held_or_refused_by_the_thresholds if {
	rank_of({"type": "picture.nudity", "score": 0.59}, []) == 0
	rank_of({"type": "picture.nudity", "score": 0.6}, []) == 2
	rank_of({"type": "picture.nudity", "score": 0.849}, []) == 2
	rank_of({"type": "picture.nudity", "score": 0.85}, []) == 3
}

test_a_threshold_that_is_no_number_is_a_denial if {
	codes(asked({"type": "picture.nudity", "stage": "output", "score": 0.1}, [], {}).deny) == {"policy.finding-unknown"}
	codes_for({"review": 0.6, "deny": "0.85"}, 0.1) == {"policy.finding-unknown"}
	codes_for({"review": "0.6", "deny": 0.85}, 0.1) == {"policy.finding-unknown"}
	codes_for({"review": 0.6, "deny": 0.85}, 0.1) == set()
}

test_the_severity_s_floor_holds if {
	rank_of({"type": "picture.nudity", "severity": "high", "score": 0.3}, []) == 2
}

test_other_findings_go_by_what_is_proposed if {
	rank_of({"type": "picture.blocked", "proposed": "deny"}, []) == 3
	rank_of({"type": "picture.violence", "proposed": "review"}, []) == 2
	rank_of({"type": "picture.overridden", "proposed": "deny"}, []) == 0
}

test_an_override_an_exception_and_a_threshold_come_first if {
	asked({}, [], {"types": {"picture.face-realistic": "review"}}).ranks[0] == 2
	exception := {
		"type": "picture.face-realistic", "groups": ["press"], "effect": "allow", "until": "2027-01-01T00:00:00Z",
		"approved_by_role": "legal",
	}
	asked({}, ["press"], {"exceptions": [exception], "approvers": ["legal"]}).ranks[0] == 0
	asked({}, [], {"min_score": {"picture.face-realistic": 0.95}}).ranks[0] == 0
	asked({}, [], {"monitor_roles": {"picture.face-realistic": ["employee"]}}).ranks[0] == 0
}

test_a_denied_picture_is_denied_and_nothing_else if {
	answer := asked({}, [], {})
	{[reason.code, reason.message] | some reason in answer.deny} == {["picture.face-realistic", data.gateway.image.pictures.fallback_deny]}
	answer.review == set()
}

test_a_picture_to_review_is_held_and_nothing_else if {
	answer := asked({}, ["portraits"], {})
	{[reason.code, reason.message] | some reason in answer.review} == {["picture.face-realistic", data.gateway.image.pictures.fallback_review]}
	answer.deny == set()
}

test_other_families_are_others_business if {
	asked({"type": "dlp.some-thing", "proposed": "deny"}, [], {}) == {"ranks": {}, "deny": set(), "review": set()}
}
