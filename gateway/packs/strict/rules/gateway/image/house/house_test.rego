package gateway.image.house_test

person := {"id": "idp|alice", "roles": ["employee"], "method": "session", "department": "Design"}

service := {"id": "service|pressroom", "roles": ["service"], "method": "api-key", "department": ""}

refused(subject, departments, findings) := codes if {
	refusals := data.gateway.image.house.deny with input as {"subject": subject, "findings": findings}
		with data.gateway.config.house as {"departments": departments}
	codes := {reason.code | some reason in refusals}
}

from(department) := object.union(person, {"department": department})

found(stage, type) := [{"id": "f1", "stage": stage, "type": type, "severity": "low", "detector": "d@1"}]

test_any_department_with_a_name_will_do if refused(from("Design"), ["*"], []) == set()

test_nobody_without_a_department_is_let_in if refused(from(""), ["*"], []) == {"subject.department-unknown"}

test_nobody_of_whom_no_department_is_told_is_let_in if {
	refused(object.remove(person, ["department"]), ["*"], []) == {"subject.department-unknown"}
}

test_only_listed_departments_are_let_in if {
	refused(from("Design"), ["Design"], []) == set()
	refused(from("Sales"), ["Design"], []) == {"subject.department-unknown"}
}

test_services_are_in_no_department if refused(service, ["Design"], []) == set()

test_words_in_an_upload_are_refused if {
	refused(person, ["*"], found("upload", "dlp.email")) == {"request.upload-words"}
	refused(person, ["*"], found("upload", "content.violence")) == {"request.upload-words"}
}

test_words_elsewhere_are_left_to_the_other_rules if {
	refused(person, ["*"], found("prompt", "dlp.email")) == set()
	refused(person, ["*"], found("output", "content.violence")) == set()
}

test_what_is_seen_in_an_upload_is_left_to_the_other_rules if {
	refused(person, ["*"], found("upload", "picture.face-realistic")) == set()
}

test_nothing_is_held if {
	data.gateway.image.house.review == set()
	data.gateway.image.house.queue == "content"
}
