package gateway.access_test

roles := {
	"grants": {
		"employee": {"permissions": ["image:generate", "key:manage"], "mfa_max_age_seconds": 43200},
		"auditor": {"permissions": ["audit:search", "key:manage"], "mfa_max_age_seconds": 900},
		"service": {"permissions": ["image:generate"], "mfa_max_age_seconds": 900},
	},
	"permission_mfa_max_age_seconds": {"key:manage": 300},
	"api_key_permissions": ["image:generate"],
	"api_key_max_age_seconds": 86400,
}

networks := {"allowed_cidrs": ["10.0.0.0/8", "2001:db8::/32"], "allowed_countries": ["DE", "FR"]}

good := {
	"version": 1,
	"action": "image:generate",
	"subject": {
		"id": "company|alice",
		"status": "active",
		"roles": ["employee"],
		"method": "session",
		"scopes": null,
		"mfa_age_seconds": 60,
	},
	"context": {"ip": "10.1.2.3", "country": "DE"},
}

key := {"subject": {"method": "api-key", "scopes": ["image:generate"]}}

service := {"subject": {
	"id": "service|newsletter",
	"roles": ["service"],
	"method": "api-key",
	"scopes": ["image:generate"],
	"mfa_age_seconds": null,
}}

# The codes of the refusals, for an input that differs from the good one.
codes(difference) := {refusal.code |
	some refusal in data.gateway.access.deny with input as object.union(good, difference)
		with data.gateway.config.roles as roles
		with data.gateway.config.networks as networks
}

max_age(difference) := seconds if {
	seconds := data.gateway.access.mfa_max_age_seconds with input as object.union(good, difference)
		with data.gateway.config.roles as roles
}

step_up(difference, refusals) := obligation if {
	obligation := data.gateway.access.step_up(refusals) with input as object.union(good, difference)
		with data.gateway.config.roles as roles
}

test_a_good_request_is_not_refused if codes({}) == set()

test_an_empty_question_meets_every_refusal if {
	found := {refusal.code |
		some refusal in data.gateway.access.deny with input as {}
			with data.gateway.config.roles as roles
			with data.gateway.config.networks as networks
	}
	found == {
		"policy.input-version", "subject.inactive", "role.not-permitted", "subject.scope-missing", "mfa.missing",
		"network.not-permitted", "network.country-not-permitted",
	}
}

test_without_configuration_everything_is_refused if {
	found := {refusal.code |
		some refusal in data.gateway.access.deny with input as good
			with data.gateway.config.roles as {}
			with data.gateway.config.networks as {}
	}
	found == {"role.not-permitted", "mfa.stale", "network.not-permitted", "network.country-not-permitted"}
}

test_another_version_of_the_input_is_refused if codes({"version": 2}) == {"policy.input-version"}

test_suspended_accounts_are_refused if codes({"subject": {"status": "suspended"}}) == {"subject.inactive"}

test_an_act_that_no_role_grants_is_refused if {
	codes({"subject": {"roles": ["auditor"]}}) == {"role.not-permitted", "mfa.stale"}
}

test_an_unknown_role_grants_nothing if "role.not-permitted" in codes({"subject": {"roles": ["admiral"]}})

test_no_roles_grant_nothing if "role.not-permitted" in codes({"subject": {"roles": []}})

test_one_granting_role_among_others_is_enough if codes({"subject": {"roles": ["auditor", "employee"]}}) == set()

test_scopes_that_name_the_act_permit_it if codes({"subject": {"scopes": ["image:generate"]}}) == set()

test_scopes_that_do_not_name_the_act_refuse_it if {
	codes({"subject": {"scopes": ["credit:read"]}}) == {"subject.scope-missing"}
}

test_empty_scopes_permit_nothing if codes({"subject": {"scopes": []}}) == {"subject.scope-missing"}

test_access_tokens_count_as_interactive if codes({"subject": {"method": "access-token"}}) == set()

test_an_unknown_method_is_refused if {
	codes({"subject": {"method": "carrier-pigeon"}}) == {"subject.scope-missing", "mfa.stale"}
}

test_a_key_whose_scopes_name_the_act_is_permitted if codes(key) == set()

test_a_key_without_a_list_of_scopes_is_refused if {
	codes({"subject": {"method": "api-key"}}) == {"subject.scope-missing"}
}

test_a_key_with_other_scopes_is_refused if {
	codes({"subject": {"method": "api-key", "scopes": ["credit:read"]}}) == {"subject.scope-missing"}
}

test_a_key_can_not_do_what_keys_may_not_do_whatever_its_scopes if {
	difference := {"action": "key:manage", "subject": {"method": "api-key", "scopes": ["key:manage"]}}
	codes(difference) == {"subject.scope-missing"}
}

test_a_key_may_be_older_than_a_session_s_second_factor if {
	codes(object.union(key, {"subject": {"mfa_age_seconds": 86400}})) == set()
}

test_a_key_beyond_its_longest_life_is_refused if {
	codes(object.union(key, {"subject": {"mfa_age_seconds": 86401}})) == {"mfa.stale"}
}

test_a_key_made_without_a_second_factor_is_refused if {
	codes(object.union(key, {"subject": {"mfa_age_seconds": null}})) == {"mfa.missing"}
}

test_no_evidence_of_a_second_factor_is_refused if {
	codes({"subject": {"mfa_age_seconds": null}}) == {"mfa.missing"}
}

# In Rego null is less than any number: an age of null must not pass for a very young one.
test_no_evidence_never_satisfies if {
	not satisfied({"subject": {"mfa_age_seconds": null}})
	not satisfied({"subject": {"method": "api-key", "scopes": ["image:generate"], "mfa_age_seconds": null}})
	satisfied({"subject": {"mfa_age_seconds": 0}})
}

satisfied(difference) if {
	data.gateway.access.mfa_satisfied with input as object.union(good, difference)
		with data.gateway.config.roles as roles
}

test_a_second_factor_of_just_twelve_hours_is_fresh if codes({"subject": {"mfa_age_seconds": 43200}}) == set()

test_a_second_factor_a_second_older_is_stale if codes({"subject": {"mfa_age_seconds": 43201}}) == {"mfa.stale"}

test_an_age_that_is_no_number_is_no_evidence if codes({"subject": {"mfa_age_seconds": "60"}}) == {"mfa.missing"}

test_the_most_lenient_granting_role_says_how_old_mfa_may_be if {
	max_age({"action": "audit:search", "subject": {"roles": ["employee", "auditor"]}}) == 900
	max_age({"subject": {"roles": ["employee", "auditor"]}}) == 43200
}

test_a_permission_may_ask_for_fresher_mfa_than_its_role if {
	max_age({"action": "key:manage"}) == 300
	max_age({"action": "key:manage", "subject": {"roles": ["employee", "auditor"]}}) == 300
}

test_a_permission_can_not_ask_for_less_than_its_role if {
	lenient := object.union(roles, {"permission_mfa_max_age_seconds": {"image:generate": 99999}})
	seconds := data.gateway.access.mfa_max_age_seconds with input as good with data.gateway.config.roles as lenient
	seconds == 43200
}

test_no_role_means_no_age_at_all if max_age({"subject": {"roles": []}}) == 0

test_an_address_outside_the_networks_is_refused if {
	codes({"context": {"ip": "192.0.2.1"}}) == {"network.not-permitted"}
}

test_an_unknown_address_is_refused if codes({"context": {"ip": ""}}) == {"network.not-permitted"}

test_ipv6_networks_work_too if codes({"context": {"ip": "2001:db8::1"}}) == set()

test_another_country_is_refused if codes({"context": {"country": "XX"}}) == {"network.country-not-permitted"}

test_an_unknown_country_is_refused_where_countries_are_listed if {
	codes({"context": {"country": ""}}) == {"network.country-not-permitted"}
}

test_a_star_allows_every_country if {
	found := data.gateway.access.deny with input as object.union(good, {"context": {"country": ""}})
		with data.gateway.config.roles as roles
		with data.gateway.config.networks as {"allowed_cidrs": ["10.0.0.0/8"], "allowed_countries": ["*"]}
	found == set()
}

test_fresh_mfa_is_offered_when_only_that_is_missing if {
	step_up({}, {{"code": "mfa.stale"}}) == {"max_age_seconds": 43200}
	step_up({"action": "key:manage"}, {{"code": "mfa.missing"}}) == {"max_age_seconds": 300}
}

test_fresh_mfa_is_not_offered_when_it_would_not_help if {
	not step_up({}, {{"code": "mfa.stale"}, {"code": "model.unknown"}})
}

test_fresh_mfa_is_not_offered_when_nothing_is_refused if not step_up({}, set())

test_fresh_mfa_is_not_offered_to_keys if not key_is_offered_step_up

key_is_offered_step_up if step_up(key, {{"code": "mfa.stale"}})

test_a_service_needs_no_second_factor if {
	codes(service) == set()
	codes(object.union(service, {"subject": {"method": "access-token"}})) == set()
}

test_a_service_can_not_have_a_session if {
	codes(object.union(service, {"subject": {"method": "session"}})) == {"mfa.missing"}
}

test_a_service_is_an_account_and_not_just_a_role if {
	codes(object.union(service, {"subject": {"id": "company|service"}})) == {"mfa.missing"}
}

test_a_person_s_key_is_no_service_s_whatever_their_id if {
	codes(object.union(service, {"subject": {"roles": ["employee"]}})) == {"mfa.missing"}
}

test_a_service_that_is_something_else_besides_is_refused if {
	codes(object.union(service, {"subject": {"roles": ["employee", "service"]}})) == {"mfa.missing"}
}

test_a_service_without_a_list_of_scopes_is_refused if {
	codes(object.union(service, {"subject": {"method": "access-token", "scopes": null}})) == {"subject.scope-missing"}
}

test_a_service_with_other_scopes_is_refused if {
	codes(object.union(service, {"subject": {"method": "access-token", "scopes": []}})) == {"subject.scope-missing"}
}

test_a_service_can_not_do_what_its_role_does_not_grant if {
	difference := {"action": "key:manage", "subject": {"scopes": ["key:manage"]}}
	codes(object.union(service, difference)) == {"role.not-permitted", "subject.scope-missing"}
}
