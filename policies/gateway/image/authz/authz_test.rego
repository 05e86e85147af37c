package gateway.image.authz_test

config := {
	"roles": {
		"grants": {
			"employee": {"permissions": ["image:generate", "image:edit", "image:vary", "audit:search"], "mfa_max_age_seconds": 43200},
			"service": {"permissions": ["image:generate", "image:edit"], "mfa_max_age_seconds": 900},
			"guest": {"permissions": ["image:generate"], "mfa_max_age_seconds": 900},
		},
		"permission_mfa_max_age_seconds": {},
		"api_key_permissions": ["image:generate"],
		"api_key_max_age_seconds": 86400,
	},
	"networks": {"allowed_cidrs": ["10.0.0.0/8"], "allowed_countries": ["*"]},
	"models": {
		"small": {
			"roles": ["employee", "service"], "groups": ["beta"], "tasks": ["generate", "edit", "vary"],
			"sizes": ["auto", "512x512"], "max_images": 10,
		},
		"single": {"roles": ["employee"], "groups": [], "tasks": ["generate"], "sizes": ["auto"], "max_images": 1},
	},
	"limits": {
		"images_per_request": {"employee": 4, "service": 12, "guest": 2},
		"uploads_per_request": {"employee": {"count": 2, "pixels": 1000}, "service": {"count": 1, "pixels": 4000}},
		"usage": {"user_day": 100, "user_month": 1000, "in_flight": 3},
		"retention_days": 30,
	},
	"hours": {"timezone": "Europe/Berlin", "windows": [{"days": ["Friday"], "from_hour": 8, "to_hour": 18}]},
	"findings": {
		"severity_floor": {"low": "allow", "medium": "allow", "high": "allow", "critical": "review"},
		"types": {},
		"min_score": {},
		"unmaskable": "deny",
		"screening_unavailable": "review",
		"exceptions": [],
		"review_queue": {"dlp": "data-protection", "content": "studio-lead", "picture": "pictures", "memorisation": "model-owners", "screening": "on-call"},
	},
}

# What a house adds has tests of its own, and no say in these.
no_house := {"deny": set(), "review": set(), "queue": "content"}

# A Friday, 11:00 in Berlin.
good := {
	"version": 1,
	"time": "2026-11-20T10:00:00.000Z",
	"stage": "prompt",
	"action": "image:generate",
	"subject": {
		"id": "idp|alice",
		"status": "active",
		"roles": ["employee"],
		"groups": ["design"],
		"method": "session",
		"scopes": null,
		"mfa_age_seconds": 60,
	},
	"resource": {
		"task": "generate", "model": "small", "n": 1, "size": "512x512", "cost_credits": 1,
		"uploads": {"count": 0, "bytes": 0, "pixels": 0, "has_mask": false},
	},
	"context": {"ip": "10.1.2.3", "country": ""},
	"usage": {"user_day": 0, "user_month": 0, "in_flight": 0, "refused_last_hour": 0},
	"findings": [],
}

finding := {
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

decide(difference) := decide_with(difference, config)

decide_with(difference, configuration) := decision if {
	decision := data.gateway.image.authz.decision with input as object.union(good, difference)
		with data.gateway.config as configuration
		with data.gateway.image.house as no_house
}

codes(difference) := {reason.code | some reason in decide(difference).reasons}

is_denied_for(difference, reasons) if {
	decide(difference).effect == "deny"
	codes(difference) == reasons
}

found(differences) := {"findings": [object.union(finding, difference) | some difference in differences]}

test_a_good_request_is_allowed if {
	decide({}) == {"effect": "allow", "reasons": [], "obligations": {"max_n": 4, "retention_days": 30}}
}

test_an_empty_question_is_denied_for_everything if {
	decision := data.gateway.image.authz.decision with input as {} with data.gateway.config as config
		with data.gateway.image.house as no_house
	decision.effect == "deny"
	{reason.code | some reason in decision.reasons} == {
		"policy.input-version", "subject.inactive", "role.not-permitted", "subject.scope-missing", "mfa.missing",
		"network.not-permitted", "policy.findings-missing", "policy.action-unknown", "model.unknown", "hours.closed",
		"usage.day-limit", "usage.month-limit", "usage.in-flight", "request.unpriced", "count.uploads-not-permitted",
	}
}

test_who_may_not_come_in_may_not_make_pictures if is_denied_for({"subject": {"status": "suspended"}}, {"subject.inactive"})

test_stale_mfa_is_denied_with_an_offer_to_renew_it if {
	is_denied_for({"subject": {"mfa_age_seconds": 43201}}, {"mfa.stale"})
	decide({"subject": {"mfa_age_seconds": 43201}}).obligations.step_up == {"max_age_seconds": 43200}
}

test_there_is_no_offer_when_fresh_mfa_would_not_help if {
	decision := decide({"subject": {"mfa_age_seconds": 43201}, "resource": {"model": "other"}})
	decision.effect == "deny"
	decision.obligations == {"retention_days": 30}
}

test_other_acts_are_denied_even_if_a_role_grants_them if is_denied_for({"action": "audit:search"}, {"policy.action-unknown"})

edit(resource) := {"action": "image:edit", "resource": object.union({"task": "edit", "uploads": {"count": 1}}, resource)}

vary(resource) := {"action": "image:vary", "resource": object.union({"task": "vary", "uploads": {"count": 1}}, resource)}

test_editing_and_varying_are_acts_too if {
	decide(edit({})).effect == "allow"
	decide(vary({})).effect == "allow"
}

test_who_may_not_edit_may_not if {
	codes(object.union(edit({}), {"subject": {"roles": ["guest"]}})) == {
		"role.not-permitted", "model.not-permitted", "count.not-permitted", "count.uploads-not-permitted", "mfa.stale",
	}
}

test_a_model_is_open_for_its_jobs_only if {
	is_denied_for(edit({"model": "single", "size": "auto"}), {"model.task-not-permitted"})
	is_denied_for(vary({"model": "single", "size": "auto"}), {"model.task-not-permitted"})
}

test_the_job_is_that_of_the_act if {
	is_denied_for(edit({"task": "vary"}), {"model.task-not-permitted"})
	is_denied_for({"resource": {"task": "edit"}}, {"model.task-not-permitted"})
}

test_a_prompt_alone_comes_without_pictures if {
	is_denied_for({"resource": {"uploads": {"count": 1}}}, {"request.uploads-unfit"})
	is_denied_for({"resource": {"uploads": {"has_mask": true}}}, {"request.uploads-unfit"})
}

test_an_edit_needs_a_picture_and_may_have_a_mask if {
	is_denied_for(edit({"uploads": {"count": 0}}), {"request.uploads-unfit"})
	decide(edit({"uploads": {"count": 2, "has_mask": true}})).effect == "allow"
}

test_a_variation_is_of_one_picture_without_a_mask if {
	is_denied_for(vary({"uploads": {"count": 0}}), {"request.uploads-unfit"})
	is_denied_for(vary({"uploads": {"count": 2}}), {"request.uploads-unfit"})
	is_denied_for(vary({"uploads": {"has_mask": true}}), {"request.uploads-unfit"})
}

test_the_role_limits_what_may_be_sent if {
	decide(edit({"uploads": {"count": 2, "pixels": 1000}})).effect == "allow"
	is_denied_for(edit({"uploads": {"count": 3}}), {"count.uploads-not-permitted"})
	is_denied_for(edit({"uploads": {"pixels": 1001}}), {"count.uploads-not-permitted"})
}

# In Rego null is less than any number: a number of null must not pass for a very small one.
test_a_number_of_pictures_that_is_none_is_denied if {
	is_denied_for(edit({"uploads": {"count": null}}), {"request.uploads-unfit", "count.uploads-not-permitted"})
}

test_one_role_must_allow_both_number_and_pixels if {
	both := {"subject": {"roles": ["employee", "service"]}}
	decide(object.union(both, edit({"uploads": {"count": 1, "pixels": 4000}}))).effect == "allow"
	is_denied_for(object.union(both, edit({"uploads": {"count": 2, "pixels": 4000}})), {"count.uploads-not-permitted"})
}

test_a_role_without_a_limit_may_send_nothing if {
	without := object.union(object.remove(config, ["limits"]), {"limits": object.remove(config.limits, ["uploads_per_request"])})
	decision := decide_with(edit({}), without)
	{reason.code | some reason in decision.reasons} == {"count.uploads-not-permitted"}
}

test_unknown_models_are_denied if is_denied_for({"resource": {"model": "other"}}, {"model.unknown"})

test_a_model_is_open_to_its_roles_only if {
	"model.not-permitted" in codes({"subject": {"roles": ["guest"]}})
	decide({"subject": {"roles": ["guest"]}}).effect == "deny"
}

test_a_model_is_open_to_its_groups if {
	decide({"subject": {"roles": ["guest"], "groups": ["beta"]}}).effect == "allow"
}

test_the_model_limits_the_number_of_pictures if {
	decide({"resource": {"model": "single", "size": "auto", "n": 1}}).obligations.max_n == 1
	is_denied_for({"resource": {"model": "single", "size": "auto", "n": 2}}, {"count.not-permitted"})
}

test_the_role_limits_the_number_of_pictures if {
	decide({"resource": {"n": 4}}).effect == "allow"
	is_denied_for({"resource": {"n": 5}}, {"count.not-permitted"})
}

test_the_best_of_several_roles_counts if {
	decide({"subject": {"roles": ["employee", "service"]}, "resource": {"n": 10}}).effect == "allow"
	is_denied_for({"subject": {"roles": ["employee", "service"]}, "resource": {"n": 11}}, {"count.not-permitted"})
}

test_no_pictures_at_all_are_denied if is_denied_for({"resource": {"n": 0}}, {"count.not-permitted"})

test_a_refused_number_says_what_is_possible if {
	[reason.message | some reason in decide({"resource": {"n": 5}}).reasons] == ["You can ask for 1 to 4 pictures in one request. Ask for fewer."]
}

test_sizes_that_the_model_does_not_make_are_denied if {
	is_denied_for({"resource": {"size": "1024x1024"}}, {"size.not-permitted"})
	decide({"resource": {"size": "auto"}}).effect == "allow"
}

test_sizes_of_some_groups_are_denied_to_others if {
	limits := object.union(config.limits, {"size_groups": {"512x512": ["posters", "beta"]}})
	large := object.union(config, {"limits": limits})
	some_of_them := object.union(good, {"subject": object.union(good.subject, {"groups": ["design", "posters"]})})
	of_any_size := object.union(good, {"resource": object.union(good.resource, {"size": "auto"})})
	data.gateway.image.authz.size_open with input as some_of_them with data.gateway.config as large
	data.gateway.image.authz.size_open with input as of_any_size with data.gateway.config as large
	not data.gateway.image.authz.size_open with input as good with data.gateway.config as large
	refused := data.gateway.image.authz.decision with input as good
		with data.gateway.config as large
		with data.gateway.image.house as no_house
	refused.effect == "deny"
	{reason.rule | some reason in refused.reasons} == {"gateway.image.authz.size_open"}
}

test_groups_of_sizes_that_are_none_open_nothing if {
	odd := object.union(config, {"limits": object.union(config.limits, {"size_groups": ["512x512"]})})
	not data.gateway.image.authz.size_open with input as good with data.gateway.config as odd
}

test_the_hours_are_those_of_the_company_s_clock if {
	is_denied_for({"time": "2026-11-20T06:59:59.999Z"}, {"hours.closed"})
	decide({"time": "2026-11-20T07:00:00.000Z"}).effect == "allow"
	decide({"time": "2026-11-20T16:59:59.999Z"}).effect == "allow"
	is_denied_for({"time": "2026-11-20T17:00:00.000Z"}, {"hours.closed"})
}

test_other_days_are_closed if is_denied_for({"time": "2026-11-21T10:00:00.000Z"}, {"hours.closed"})

test_the_day_s_limit_holds if {
	decide({"usage": {"user_day": 99}}).effect == "allow"
	is_denied_for({"usage": {"user_day": 100}}, {"usage.day-limit"})
}

test_the_month_s_limit_holds if {
	decide({"usage": {"user_month": 999}}).effect == "allow"
	is_denied_for({"usage": {"user_month": 1000}}, {"usage.month-limit"})
}

test_the_limit_of_requests_at_once_holds if {
	decide({"usage": {"in_flight": 2}}).effect == "allow"
	is_denied_for({"usage": {"in_flight": 3}}, {"usage.in-flight"})
}

test_a_request_without_a_price_is_denied if {
	is_denied_for({"resource": {"cost_credits": -1}}, {"request.unpriced"})
	decide({"resource": {"cost_credits": 0}}).effect == "allow"
}

test_findings_to_mask_are_masked if {
	decide(found([{}])) == {
		"effect": "mask",
		"reasons": [{
			"code": "dlp.email", "message": "m", "severity": "medium", "rule": "rule@1",
			"control": "NIST SP 800-53 SC-7(10)", "finding": "f1",
		}],
		"obligations": {
			"mask": [{"finding": "f1", "with": "someone@example.com"}],
			"max_n": 4,
			"retention_days": 30,
		},
	}
}

test_every_finding_to_mask_gets_an_order if {
	orders := decide(found([{"id": "f1"}, {"id": "f2"}, {"id": "f3", "type": "content.word"}])).obligations.mask
	{order.finding | some order in orders} == {"f1", "f2", "f3"}
}

test_content_findings_to_mask_are_masked if {
	decision := decide(found([{"type": "content.word"}]))
	decision.effect == "mask"
	[reason.code | some reason in decision.reasons] == ["content.word"]
}

test_sensitive_data_is_denied if is_denied_for(found([{"type": "dlp.payment-card", "proposed": "deny"}]), {"dlp.payment-card"})

test_a_blocked_picture_is_denied if is_denied_for(found([{"type": "picture.blocked", "proposed": "deny"}]), {"picture.blocked"})

test_a_remembered_picture_is_denied_where_that_is_chosen if {
	is_denied_for(found([{"type": "memorisation.near-duplicate", "proposed": "deny"}]), {"memorisation.near-duplicate"})
}

test_forbidden_content_is_denied if is_denied_for(found([{"type": "content.gore", "proposed": "deny"}]), {"content.gore"})

test_unknown_findings_are_denied if is_denied_for(found([{"type": "mystery.box"}]), {"policy.finding-unknown"})

test_harmless_findings_are_allowed_without_a_word if {
	decision := decide(found([{"proposed": "allow"}]))
	decision.effect == "allow"
	decision.reasons == []
}

test_a_sensitive_finding_for_review_goes_to_its_queue if {
	decision := decide(found([{"proposed": "review"}]))
	decision.effect == "review"
	[reason.code | some reason in decision.reasons] == ["dlp.email"]
	decision.obligations == {"retention_days": 30, "review": {"queue": "data-protection"}}
}

test_a_content_finding_for_review_goes_to_its_queue if {
	decision := decide(found([{"type": "content.gore", "proposed": "review"}]))
	decision.effect == "review"
	[reason.code | some reason in decision.reasons] == ["content.gore"]
	decision.obligations == {"retention_days": 30, "review": {"queue": "studio-lead"}}
}

test_a_picture_finding_for_review_goes_to_its_queue if {
	decision := decide(found([{"type": "picture.violence", "proposed": "review"}]))
	decision.effect == "review"
	[reason.code | some reason in decision.reasons] == ["picture.violence"]
	decision.obligations == {"retention_days": 30, "review": {"queue": "pictures"}}
}

test_a_remembered_picture_goes_to_its_queue if {
	decision := decide(found([{"type": "memorisation.near-duplicate", "proposed": "review"}]))
	decision.effect == "review"
	[reason.code | some reason in decision.reasons] == ["memorisation.near-duplicate"]
	decision.obligations == {"retention_days": 30, "review": {"queue": "model-owners"}}
}

test_missing_screening_goes_to_its_queue_where_policy_says_review if {
	decision := decide(found([{"type": "screening.unavailable"}]))
	decision.effect == "review"
	[reason.code | some reason in decision.reasons] == ["screening.unavailable"]
	decision.obligations.review == {"queue": "on-call"}
}

test_missing_screening_is_denied_where_policy_says_deny if {
	stricter := object.union(config, {"findings": {"screening_unavailable": "deny"}})
	decision := decide_with(found([{"type": "screening.unavailable"}]), stricter)
	decision.effect == "deny"
	[reason.code | some reason in decision.reasons] == ["screening.unavailable"]
}

test_sensitive_data_decides_the_queue_when_content_is_for_review_too if {
	differences := [{"id": "f1", "type": "content.gore", "proposed": "review"}, {"id": "f2", "proposed": "review"}]
	decide(found(differences)).obligations.review == {"queue": "data-protection"}
}

test_a_queue_that_nobody_named_is_the_common_one if {
	unnamed := object.union(object.remove(config, ["findings"]), {"findings": object.remove(config.findings, ["review_queue"])})
	decide_with(found([{"proposed": "review"}]), unnamed).obligations.review == {"queue": "review"}
}

test_deny_wins_over_review_and_mask if {
	differences := [
		{"id": "f1", "type": "dlp.payment-card", "proposed": "deny"},
		{"id": "f2", "type": "content.gore", "proposed": "review"},
		{"id": "f3"},
	]
	is_denied_for(found(differences), {"dlp.payment-card"})
	decide(found(differences)).obligations == {"retention_days": 30}
}

test_review_wins_over_mask if {
	decision := decide(found([{"id": "f1", "type": "content.gore", "proposed": "review"}, {"id": "f2"}]))
	decision.effect == "review"
	decision.obligations == {"retention_days": 30, "review": {"queue": "studio-lead"}}
}

test_an_allowed_finding_does_not_hide_a_denied_one if {
	is_denied_for(found([{"proposed": "allow"}, {"id": "f2", "type": "dlp.secret", "proposed": "deny"}]), {"dlp.secret"})
}

# Without its rules, no family of controls may look as if it had found nothing.
test_a_decision_needs_the_set_access_deny if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.access.deny as {}
	is_undecided(decision)
}

test_a_decision_needs_the_set_findings_deny if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.findings.deny as {}
	is_undecided(decision)
}

test_a_decision_needs_the_set_dlp_deny if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.dlp.deny as {}
	is_undecided(decision)
}

test_a_decision_needs_the_set_dlp_review if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.dlp.review as {}
	is_undecided(decision)
}

test_a_decision_needs_the_set_dlp_mask if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.dlp.mask as {}
	is_undecided(decision)
}

test_a_decision_needs_the_set_content_deny if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.content.deny as {}
	is_undecided(decision)
}

test_a_decision_needs_the_set_content_review if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.content.review as {}
	is_undecided(decision)
}

test_a_decision_needs_the_set_pictures_deny if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.pictures.deny as {}
	is_undecided(decision)
}

test_a_decision_needs_the_set_pictures_review if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.pictures.review as {}
	is_undecided(decision)
}

test_a_decision_needs_the_set_memorisation_deny if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.memorisation.deny as {}
	is_undecided(decision)
}

test_a_decision_needs_the_set_memorisation_review if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.memorisation.review as {}
	is_undecided(decision)
}

test_a_decision_needs_the_set_content_mask if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.content.mask as {}
	is_undecided(decision)
}

test_a_decision_needs_the_set_screening_deny if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.screening.deny as {}
	is_undecided(decision)
}

test_a_decision_needs_the_set_screening_review if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.screening.review as {}
	is_undecided(decision)
}

test_a_decision_needs_every_package if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.dlp as {}
	is_undecided(decision)
}

test_missing_retention_is_a_denial if {
	limits := object.remove(config.limits, ["retention_days"])
	is_undecided(decide_with({}, object.union(object.remove(config, ["limits"]), {"limits": limits})))
}

test_a_finding_that_no_rule_took_up_is_not_allowed if {
	decision := data.gateway.image.authz.decision with input as object.union(good, found([{"proposed": "deny"}]))
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.dlp.deny as set()
	is_undecided(decision)
}

is_undecided(decision) if {
	decision.effect == "deny"
	[reason.code | some reason in decision.reasons] == ["policy.undefined"]
}

rewriting(difference, who) := decision.obligations if {
	decision := decide_with(difference, object.union(config, {"diversity": who}))
}

everybody := {"groups": ["*"], "except_groups": []}

test_nobody_is_rewritten_for_unless_the_rules_say_so if {
	rewriting({}, {"groups": [], "except_groups": []}) == {"max_n": 4, "retention_days": 30}
}

test_what_a_prompt_leaves_open_is_drawn_for_everybody_or_for_a_group if {
	rewriting({}, everybody) == {"max_n": 4, "retention_days": 30, "rewrite": "diversity"}
	rewriting({}, {"groups": ["design"], "except_groups": []}).rewrite == "diversity"
	rewriting({}, {"groups": ["other"], "except_groups": []}) == {"max_n": 4, "retention_days": 30}
}

test_a_masked_prompt_is_rewritten_too if {
	rewriting(found([{}]), everybody).rewrite == "diversity"
}

test_who_is_left_out_is_left_out if {
	rewriting({}, {"groups": ["*", "design"], "except_groups": ["design"]}) == {"max_n": 4, "retention_days": 30}
	rewriting({}, {"groups": ["*"], "except_groups": ["other"]}).rewrite == "diversity"
}

test_only_pictures_made_from_words_are_rewritten_for_and_once if {
	every difference in [edit({}), vary({}), {"stage": "request"}, {"stage": "output"}] {
		rewriting(difference, everybody) == {"max_n": 4, "retention_days": 30}
	}
}

test_what_is_refused_is_not_rewritten if {
	rewriting({"subject": {"status": "suspended"}}, everybody) == {"retention_days": 30}
}

house_reason := {"code": "subject.of-the-house", "message": "m", "severity": "low", "rule": "r", "control": "c"}

test_what_the_house_refuses_is_denied if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as object.union(no_house, {"deny": {house_reason}})
	decision.effect == "deny"
	decision.reasons == [house_reason]
}

test_what_the_house_holds_goes_to_its_queue if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as object.union(no_house, {"review": {house_reason}, "queue": "samples"})
	decision.effect == "review"
	decision.reasons == [house_reason]
	decision.obligations == {"retention_days": 30, "review": {"queue": "samples"}}
}

test_a_decision_needs_the_set_house_deny if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as object.union(no_house, {"deny": {}})
	is_undecided(decision)
}

test_a_decision_needs_the_set_house_review if {
	decision := data.gateway.image.authz.decision with input as good
		with data.gateway.config as config
		with data.gateway.image.house as object.union(no_house, {"review": {}})
	is_undecided(decision)
}

test_a_face_that_a_group_may_upload_is_allowed if {
	face := {"type": "picture.face-realistic", "stage": "upload", "field": "uploads", "maskable": false, "proposed": "review"}
	faces := {"upload": {"realistic": "review"}, "groups": [{"group": "design", "stage": "upload", "kind": "realistic", "effect": "allow"}]}
	decision := decide_with(found([face]), object.union(config, {"pictures": {"faces": faces}}))
	decision.effect == "allow"
}

test_what_is_held_by_its_own_rules_is_not_harmless if {
	mild := found([{"type": "picture.nudity", "proposed": "allow"}])
	decision := data.gateway.image.authz.effect with input as object.union(good, mild)
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.pictures.ranks as {0: 2}
	decision == "review"
	not data.gateway.image.authz.harmless with input as object.union(good, mild)
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.pictures.ranks as {0: 2}
}

test_what_content_rules_hold_is_not_harmless if {
	mild := found([{"type": "content.gore", "proposed": "allow"}])
	not data.gateway.image.authz.harmless with input as object.union(good, mild)
		with data.gateway.config as config
		with data.gateway.image.house as no_house
		with data.gateway.image.content.ranks as {0: 2}
}
