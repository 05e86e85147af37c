# METADATA
# title: May this picture be made?
# description: One decision document a request and stage; deny wins over review, review over mask, mask over allow.
# scope: package
# entrypoint: true
# custom:
#   owner: security-team
package gateway.image.authz

# METADATA
# title: The configuration of limits
# description: A rule and no import, because the embedded engine works out a rule once a decision and an import wherever it stands.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 CM-6
limits := data.gateway.config.limits

# METADATA
# title: The job that each act asks of a model; other acts are not decided here
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
tasks := {"image:generate": "generate", "image:edit": "edit", "image:vary": "vary"}

# METADATA
# title: The acts that these rules decide
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
image_action if tasks[input.action]

# METADATA
# title: The model asked for
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
model := models[input.resource.model] if models := data.gateway.config.models

# METADATA
# title: The model is one that we know
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
model_known if is_object(model)

# METADATA
# title: The model is open to a role that grants the act, or to a group
# description: A chain, as below wherever one of several is enough, because only the branches that are needed are worked out.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3(7)
model_permitted if {
	some role in data.gateway.access.granting_roles
	role in model.roles
} else if {
	some group in model.groups
	group in input.subject.groups
}

# METADATA
# title: The model is open for this job, and the job is that of the act
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3(7)
task_permitted if {
	input.resource.task == tasks[input.action]
	input.resource.task in model.tasks
}

# METADATA
# title: The act came with the pictures that it needs, and with no others
# description: A mask belongs to an edit; a variation is of one picture.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
uploads_fit if {
	input.action == "image:generate"
	input.resource.uploads == {"count": 0, "bytes": 0, "pixels": 0, "has_mask": false}
} else if {
	input.action == "image:edit"
	input.resource.uploads.count >= 1
} else if {
	input.action == "image:vary"
	input.resource.uploads.count == 1
	input.resource.uploads.has_mask == false
}

# METADATA
# title: No more pictures came along than a role may send, and no larger ones
# description: Pixels are of all of them together. They are 0 until the pictures were decoded; then this is asked again.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-6
uploads_permitted if {
	input.resource.uploads.count == 0
} else if {
	input.resource.uploads.count > 0
	some role in data.gateway.access.granting_roles
	input.resource.uploads.count <= limits.uploads_per_request[role].count
	input.resource.uploads.pixels <= limits.uploads_per_request[role].pixels
}

# METADATA
# title: The most pictures that one request may ask for
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-6
max_images := min({by_role, model.max_images}) if {
	by_role := max({images |
		some role in data.gateway.access.granting_roles
		images := limits.images_per_request[role]
	})
} else := 0

# METADATA
# title: The number of pictures is within the limit
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-6
count_permitted if {
	input.resource.n >= 1
	input.resource.n <= max_images
}

# METADATA
# title: The size is one that the model makes
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-6
size_permitted if input.resource.size in model.sizes

# METADATA
# title: The size is open to everybody, or to a group of theirs
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-6
size_open if {
	restricted := object.get(limits, "size_groups", {})
	is_object(restricted)
	object.get(restricted, input.resource.size, null) == null
} else if {
	some group in limits.size_groups[input.resource.size]
	group in input.subject.groups
}

# METADATA
# title: It is one of the hours in which pictures may be made
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-2(11)
hours_open if {
	hours := data.gateway.config.hours
	now := [time.parse_rfc3339_ns(input.time), hours.timezone]
	[hour, _, _] := time.clock(now)
	some window in hours.windows
	time.weekday(now) in window.days
	hour >= window.from_hour
	hour < window.to_hour
}

# METADATA
# title: Requests are left today
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-6
day_left if input.usage.user_day < limits.usage.user_day

# METADATA
# title: Requests are left this month
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-6
month_left if input.usage.user_month < limits.usage.user_month

# METADATA
# title: Not too many requests at once
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-5
slot_left if input.usage.in_flight < limits.usage.in_flight

# METADATA
# title: What was asked for can be paid with credits
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
priced if input.resource.cost_credits >= 0

# METADATA
# title: What each set of rules says
# description: Undefined as soon as one is missing, or a deleted file would look like one that found nothing. Sets of sets, so that empty ones fall together.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-17
said := {
	"deny": {
		data.gateway.access.deny,
		data.gateway.image.findings.deny,
		data.gateway.image.dlp.deny,
		data.gateway.image.content.deny,
		data.gateway.image.pictures.deny,
		data.gateway.image.memorisation.deny,
		data.gateway.image.screening.deny,
		data.gateway.image.house.deny,
	},
	"review": {
		data.gateway.image.dlp.review,
		data.gateway.image.content.review,
		data.gateway.image.pictures.review,
		data.gateway.image.memorisation.review,
		data.gateway.image.screening.review,
		data.gateway.image.house.review,
	},
	"mask": {
		data.gateway.image.dlp.mask,
		data.gateway.image.content.mask,
	},
}

# METADATA
# title: Every set of rules is there and answered
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-17
answered if {
	every set in (said.deny | said.review) | said.mask {
		is_set(set)
	}
}

# METADATA
# title: What any set of rules refuses
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
deny contains refusal if {
	some refusal in said.deny[_]
}

# METADATA
# title: Refuse other acts
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
deny contains data.gateway.lib.reason(
	"policy.action-unknown",
	"This is not something that the rules for pictures know. Tell your administrator.",
	"high", "gateway.image.authz.image_action", "NIST SP 800-53 AC-3",
) if {
	not image_action
}

# METADATA
# title: Refuse unknown models
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
deny contains data.gateway.lib.reason(
	"model.unknown",
	"There is no model of this name here. Choose one from the list of models.",
	"low", "gateway.image.authz.model_known", "NIST SP 800-53 AC-3",
) if {
	not model_known
}

# METADATA
# title: Refuse models that are not open to this person
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3(7)
deny contains data.gateway.lib.reason(
	"model.not-permitted",
	"This model is not open to your roles or groups. Choose another, or ask your administrator for access.",
	"medium", "gateway.image.authz.model_permitted", "NIST SP 800-53 AC-3(7)",
) if {
	not model_permitted
	model_known
}

# METADATA
# title: Refuse jobs that the model is not open for
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3(7)
deny contains data.gateway.lib.reason(
	"model.task-not-permitted",
	"This model is not open for this kind of work. Choose another model.",
	"low", "gateway.image.authz.task_permitted", "NIST SP 800-53 AC-3(7)",
) if {
	not task_permitted
	image_action
	model_known
}

# METADATA
# title: Refuse pictures that the act does not need, and acts without those that it needs
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
deny contains data.gateway.lib.reason(
	"request.uploads-unfit",
	"An edit needs at least one picture, a variation exactly one and no mask, and a prompt alone none.",
	"low", "gateway.image.authz.uploads_fit", "NIST SP 800-53 SI-10",
) if {
	not uploads_fit
	image_action
}

# METADATA
# title: Refuse too many or too large pictures
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-6
deny contains data.gateway.lib.reason(
	"count.uploads-not-permitted",
	"These are more or larger pictures than you may send with one request. Send fewer or smaller ones.",
	"low", "gateway.image.authz.uploads_permitted", "NIST SP 800-53 SC-6",
) if {
	not uploads_permitted
}

# METADATA
# title: Refuse too many pictures
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-6
deny contains data.gateway.lib.reason(
	"count.not-permitted",
	sprintf("You can ask for 1 to %d pictures in one request. Ask for fewer.", [max_images]),
	"low", "gateway.image.authz.count_permitted", "NIST SP 800-53 SC-6",
) if {
	not count_permitted
	model_known
}

# METADATA
# title: Refuse sizes that the model does not make
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-6
deny contains data.gateway.lib.reason(
	"size.not-permitted",
	"This model does not make pictures of this size. Choose one of its sizes, or `auto`.",
	"low", "gateway.image.authz.size_permitted", "NIST SP 800-53 SC-6",
) if {
	not size_permitted
	model_known
}

# METADATA
# title: Refuse sizes that are for other groups
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-6
deny contains data.gateway.lib.reason(
	"size.not-permitted",
	"Pictures of this size are for other groups. Choose another size, or `auto`.",
	"low", "gateway.image.authz.size_open", "NIST SP 800-53 SC-6",
) if {
	not size_open
	image_action
}

# METADATA
# title: Refuse outside the hours
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-2(11)
deny contains data.gateway.lib.reason(
	"hours.closed",
	"Pictures can't be made at this hour. Try again within the hours that your company has set.",
	"low", "gateway.image.authz.hours_open", "NIST SP 800-53 AC-2(11)",
) if {
	not hours_open
}

# METADATA
# title: Refuse beyond the day's limit
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-6
deny contains data.gateway.lib.reason(
	"usage.day-limit",
	"You have reached today's limit of requests. It starts again at midnight UTC.",
	"low", "gateway.image.authz.day_left", "NIST SP 800-53 SC-6",
) if {
	not day_left
}

# METADATA
# title: Refuse beyond the month's limit
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-6
deny contains data.gateway.lib.reason(
	"usage.month-limit",
	"You have reached this month's limit of requests. It starts again on the first, at midnight UTC.",
	"low", "gateway.image.authz.month_left", "NIST SP 800-53 SC-6",
) if {
	not month_left
}

# METADATA
# title: Refuse too many at once
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-5
deny contains data.gateway.lib.reason(
	"usage.in-flight",
	"Too many of your requests are running. Wait for one to end, then send this again.",
	"low", "gateway.image.authz.slot_left", "NIST SP 800-53 SC-5",
) if {
	not slot_left
}

# METADATA
# title: Refuse what has no price
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-10
deny contains data.gateway.lib.reason(
	"request.unpriced",
	"The rules did not learn what this would cost, and that means no. Tell your administrator.",
	"high", "gateway.image.authz.priced", "NIST SP 800-53 SI-10",
) if {
	not priced
}

# METADATA
# title: What a person has to look at first
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
review contains reason if {
	some reason in said.review[_]
}

# METADATA
# title: Who looks at it
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
default review_queue := "review"

review_queue := data.gateway.config.findings.review_queue.dlp if {
	count(data.gateway.image.dlp.review) > 0
} else := data.gateway.config.findings.review_queue.content if {
	count(data.gateway.image.content.review) > 0
} else := data.gateway.config.findings.review_queue.picture if {
	count(data.gateway.image.pictures.review) > 0
} else := data.gateway.config.findings.review_queue.memorisation if {
	count(data.gateway.image.memorisation.review) > 0
} else := data.gateway.image.house.queue if {
	count(data.gateway.image.house.review) > 0
} else := data.gateway.config.findings.review_queue.screening

# METADATA
# title: What was replaced
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
mask contains reason if {
	some reason in said.mask[_]
}

# METADATA
# title: What to replace with what
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SC-7(10)
mask_orders contains order if some order in data.gateway.image.dlp.mask_orders

mask_orders contains order if some order in data.gateway.image.content.mask_orders

# METADATA
# title: What each finding comes to in the end, by its place in the list
# description: Content and pictures have rules of their own, which may be milder or stricter than what was proposed.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-17
ranks := object.union(
	data.gateway.image.findings.ranks,
	object.union(data.gateway.image.content.ranks, data.gateway.image.pictures.ranks),
)

# METADATA
# title: Every finding has a rank, and it is allow
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-17
harmless if {
	every place, _ in data.gateway.image.findings.reported {
		ranks[place] == data.gateway.lib.effect_rank.allow
	}
}

# METADATA
# title: Deny over review over mask over allow
# description: Undefined, and so denied, when nothing was refused and yet not everything is known to be harmless.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
effect := "deny" if {
	count(deny) > 0
} else := "review" if {
	count(review) > 0
} else := "mask" if {
	count(mask) > 0
} else := "allow" if {
	harmless
}

# METADATA
# title: Why
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
reasons := set() if {
	effect == "allow"
} else := deny if {
	effect == "deny"
} else := review if {
	effect == "review"
} else := mask if {
	effect == "mask"
}

# METADATA
# title: Fresh MFA, where it alone would help
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
default step_up := {}

step_up := {"step_up": data.gateway.access.step_up(deny)}

# METADATA
# title: Somebody for whom what a prompt leaves open about people is drawn from the world's
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.6
rewritten_for if {
	some group in data.gateway.config.diversity.groups
	addressed(group)
}

# METADATA
# title: The group is everybody, or one of theirs
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.6
addressed(group) if group == "*"

addressed(group) if group in input.subject.groups

# METADATA
# title: Somebody who is left out of that
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.6
rewriting_excepted if {
	some group in data.gateway.config.diversity.except_groups
	group in input.subject.groups
}

# METADATA
# title: Rewriting, where a picture is made from words alone
# description: Asked for once, with the prompt. An edit or a variation is of people who are there already.
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.6
default rewriting := {}

rewriting := {"rewrite": "diversity"} if {
	input.action == "image:generate"
	input.stage == "prompt"
	rewritten_for
	not rewriting_excepted
}

# METADATA
# title: What else must be done
# description: A chain, because only the branch that is needed is worked out, the usual one first.
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
obligations := object.union({"max_n": max_images}, rewriting) if {
	effect == "allow"
} else := step_up if {
	effect == "deny"
} else := {"review": {"queue": review_queue}} if {
	effect == "review"
} else := object.union({"mask": [order | some order in mask_orders], "max_n": max_images}, rewriting) if {
	effect == "mask"
}

# METADATA
# title: No answer is a denial
# custom:
#   owner: security-team
#   control: NIST SP 800-53 SI-17
default decision := {
	"effect": "deny",
	"reasons": [{
		"code": "policy.undefined",
		"message": "The rules in force gave no answer, and that means no. Tell your administrator.",
		"severity": "high",
		"rule": "gateway.image.authz.decision",
		"control": "NIST SP 800-53 SI-17",
	}],
	"obligations": {},
}

# METADATA
# title: The decision
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
decision := {
	"effect": effect,
	"reasons": [reason | some reason in reasons],
	"obligations": object.union({"retention_days": limits.retention_days}, obligations),
} if {
	answered
}
