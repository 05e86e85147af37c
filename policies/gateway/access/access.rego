# METADATA
# title: Who is asking, how sure we are, and from where
# description: Facts and refusals that hold for every act. Each control is a positive fact; its absence is a refusal.
# scope: package
# custom:
#   owner: security-team
package gateway.access

# METADATA
# title: The configuration of roles
# description: A rule and no import, because the embedded engine works out a rule once a decision and an import wherever it stands.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 CM-6
roles := data.gateway.config.roles

# METADATA
# title: The input is of the version these rules were written for
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
input_understood if input.version == 1

# METADATA
# title: The account is active
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-2(3)
subject_active if input.subject.status == "active"

# METADATA
# title: The roles of the subject that grant the action
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3(7)
granting_roles contains role if {
	some role in input.subject.roles
	input.action in roles.grants[role].permissions
}

# METADATA
# title: A role grants the action
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3(7)
action_granted if count(granting_roles) > 0

# METADATA
# title: People present themselves with a session or an access token
# custom:
#   owner: security-team
#   control: NIST SP 800-53 IA-2
interactive if input.subject.method in {"session", "access-token"}

# METADATA
# title: Services show a key or an access token, and are nothing else besides
# description: The role is given by what an account is, never by a group. Mixed with another it is a person's mistake.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 IA-9
service_shown if {
	input.subject.roles == ["service"]
	startswith(input.subject.id, "service|")
	input.subject.method in {"api-key", "access-token"}
}

# METADATA
# title: The credential is not limited, or its scopes name the action
# description: A key may do what its scopes name and keys may do at all. A chain, because one branch that holds is enough.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-6
credential_permits if {
	interactive
	not service_shown
	input.subject.scopes == null
} else if {
	interactive
	input.action in input.subject.scopes
} else if {
	input.subject.method == "api-key"
	input.action in input.subject.scopes
	input.action in roles.api_key_permissions
}

# METADATA
# title: How old the second factor may be for this action, in seconds
# description: The most lenient of the granting roles, capped by the permission itself; 0 where nothing is configured.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 IA-11
default mfa_max_age_seconds := 0

mfa_max_age_seconds := min({by_role, by_permission}) if {
	by_role := max({seconds |
		some role in granting_roles
		seconds := roles.grants[role].mfa_max_age_seconds
	})
	by_permission := object.get(roles.permission_mfa_max_age_seconds, input.action, by_role)
}

# METADATA
# title: There is evidence of a second factor
# custom:
#   owner: security-team
#   control: NIST SP 800-53 IA-2(1)
mfa_shown if is_number(input.subject.mfa_age_seconds)

# METADATA
# title: The second factor is fresh enough for the action, or what stands in for it is
# description: A chain, because one branch that holds is enough.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 IA-11, IA-5, IA-9
mfa_satisfied if {
	interactive
	mfa_shown
	input.subject.mfa_age_seconds <= mfa_max_age_seconds
} else if {
	# IA-5: a key was made with a fresh second factor, and not too long ago. The age of a key's evidence is the key's own
	# age, because keys are made with fresh MFA or not at all.
	input.subject.method == "api-key"
	mfa_shown
	input.subject.mfa_age_seconds <= roles.api_key_max_age_seconds
} else if {
	# IA-9: a service has no second factor. Two people agreed to it and to each of its keys, it has scopes and networks,
	# and somebody answers for it.
	service_shown
}

# METADATA
# title: The address is in an allowed network
# description: The gateway sends an empty address where it knows none; no network contains it.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-2(11)
network_permitted if {
	input.context.ip != ""
	some cidr in data.gateway.config.networks.allowed_cidrs
	net.cidr_contains(cidr, input.context.ip)
}

# METADATA
# title: The country is allowed
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-2(11)
country_permitted if {
	"*" in data.gateway.config.networks.allowed_countries
} else if {
	input.context.country in data.gateway.config.networks.allowed_countries
}

# METADATA
# title: Refuse an input of another version
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
deny contains data.gateway.lib.reason(
	"policy.input-version",
	"The rules in force were written for another version of the gateway. Tell your administrator.",
	"high", "gateway.access.input_understood", "NIST SP 800-53 SI-10",
) if {
	not input_understood
}

# METADATA
# title: Refuse suspended accounts
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-2(3)
deny contains data.gateway.lib.reason(
	"subject.inactive",
	"Your account is suspended. Ask your administrator why and how to get it back.",
	"high", "gateway.access.subject_active", "NIST SP 800-53 AC-2(3)",
) if {
	not subject_active
}

# METADATA
# title: Refuse what no role grants
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3(7)
deny contains data.gateway.lib.reason(
	"role.not-permitted",
	"None of your roles lets you do this. If your work needs it, ask your administrator for access.",
	"medium", "gateway.access.action_granted", "NIST SP 800-53 AC-3(7)",
) if {
	not action_granted
}

# METADATA
# title: Refuse what the credential is not for
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-6
deny contains data.gateway.lib.reason(
	"subject.scope-missing",
	"This key or token is not for this. Use one whose scopes name it, or sign in with your browser.",
	"medium", "gateway.access.credential_permits", "NIST SP 800-53 AC-6",
) if {
	not credential_permits
}

# METADATA
# title: Refuse without a second factor
# custom:
#   owner: security-team
#   control: NIST SP 800-53 IA-2(1)
deny contains data.gateway.lib.reason(
	"mfa.missing",
	"This needs a second factor. Confirm that it is you, then send it again.",
	"medium", "gateway.access.mfa_satisfied", "NIST SP 800-53 IA-2(1)",
) if {
	not mfa_satisfied
	not mfa_shown
}

# METADATA
# title: Refuse when the second factor is too old
# custom:
#   owner: security-team
#   control: NIST SP 800-53 IA-11
deny contains data.gateway.lib.reason(
	"mfa.stale",
	"It has been a while since you confirmed that it is you. Do it again, then send this once more.",
	"medium", "gateway.access.mfa_satisfied", "NIST SP 800-53 IA-11",
) if {
	not mfa_satisfied
	mfa_shown
}

# METADATA
# title: Refuse other networks
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-2(11)
deny contains data.gateway.lib.reason(
	"network.not-permitted",
	"You are outside the company's networks. Connect to one of them, then send this again.",
	"medium", "gateway.access.network_permitted", "NIST SP 800-53 AC-2(11)",
) if {
	not network_permitted
}

# METADATA
# title: Refuse other countries
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-2(11)
deny contains data.gateway.lib.reason(
	"network.country-not-permitted",
	"This can't be used from the country you are in. Ask your administrator if you are travelling for work.",
	"medium", "gateway.access.country_permitted", "NIST SP 800-53 AC-2(11)",
) if {
	not country_permitted
}

# METADATA
# title: Fresh MFA is offered where it alone would help
# description: RFC 9470. Not to keys, which can't do it, and not when another refusal would stay.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 IA-11
step_up(refusals) := {"max_age_seconds": mfa_max_age_seconds} if {
	interactive
	count(refusals) > 0
	every refusal in refusals {
		startswith(refusal.code, "mfa.")
	}
}
