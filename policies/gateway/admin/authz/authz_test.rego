package gateway.admin.authz_test

roles := {
	"grants": {"auditor": {"permissions": ["audit:search"], "mfa_max_age_seconds": 900}},
	"permission_mfa_max_age_seconds": {},
	"api_key_permissions": [],
	"api_key_max_age_seconds": 86400,
}

networks := {"allowed_cidrs": ["0.0.0.0/0"], "allowed_countries": ["*"]}

good := {
	"version": 1,
	"action": "audit:search",
	"subject": {"status": "active", "roles": ["auditor"], "method": "session", "scopes": null, "mfa_age_seconds": 60},
	"context": {"ip": "10.1.2.3", "country": ""},
}

decide(difference) := decision if {
	decision := data.gateway.admin.authz.decision with input as object.union(good, difference)
		with data.gateway.config.roles as roles
		with data.gateway.config.networks as networks
		with data.gateway.config.limits as {"retention_days": 30}
}

test_an_auditor_with_fresh_mfa_may_search if {
	decide({}) == {"effect": "allow", "reasons": [], "obligations": {"retention_days": 30}}
}

test_stale_mfa_is_denied_with_an_offer_to_renew_it if {
	decision := decide({"subject": {"mfa_age_seconds": 901}})
	decision.effect == "deny"
	[reason.code | some reason in decision.reasons] == ["mfa.stale"]
	decision.obligations == {"retention_days": 30, "step_up": {"max_age_seconds": 900}}
}

test_somebody_else_is_denied_without_an_offer if {
	decision := decide({"subject": {"roles": ["employee"]}})
	decision.effect == "deny"
	"role.not-permitted" in {reason.code | some reason in decision.reasons}
	decision.obligations == {"retention_days": 30}
}

test_a_key_is_denied if {
	decide({"subject": {"method": "api-key", "scopes": ["audit:search"]}}).effect == "deny"
}

is_undecided(decision) if {
	decision.effect == "deny"
	[reason.code | some reason in decision.reasons] == ["policy.undefined"]
}

test_missing_rules_are_no_answer_and_that_is_a_denial if {
	decision := data.gateway.admin.authz.decision with input as good
		with data.gateway.config.limits as {"retention_days": 30}
		with data.gateway.access as {}
	is_undecided(decision)
}

test_missing_configuration_is_no_answer_and_that_is_a_denial if {
	decision := data.gateway.admin.authz.decision with input as good
		with data.gateway.config.roles as roles
		with data.gateway.config.networks as networks
		with data.gateway.config.limits as {}
	is_undecided(decision)
}
