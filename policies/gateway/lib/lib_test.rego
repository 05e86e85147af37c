package gateway.lib_test

test_effects_rise_from_allow_to_deny if {
	rank := data.gateway.lib.effect_rank
	rank.allow < rank.mask
	rank.mask < rank.review
	rank.review < rank.deny
	count(rank) == 4
}

test_a_reason_has_every_part_that_people_read if {
	data.gateway.lib.reason("a.b", "Do this.", "low", "some.rule", "AC-1") == {
		"code": "a.b",
		"message": "Do this.",
		"severity": "low",
		"rule": "some.rule",
		"control": "AC-1",
	}
}
