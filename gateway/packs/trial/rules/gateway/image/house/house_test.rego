package gateway.image.house_test

house := {"until": "2027-03-31T00:00:00Z", "sample_endings": ["0", "8"]}

question := {"time": "2027-03-30T23:59:59Z", "stage": "output", "request_id": "0195c7a0-0000-7000-8000-00000000000f"}

refused(difference, config) := codes if {
	refusals := data.gateway.image.house.deny with input as object.union(question, difference)
		with data.gateway.config.house as config
	codes := {reason.code | some reason in refusals}
}

held(difference) := codes if {
	reasons := data.gateway.image.house.review with input as object.union(question, difference)
		with data.gateway.config.house as house
	codes := {reason.code | some reason in reasons}
}

test_until_the_last_moment_it_goes_on if refused({}, house) == set()

test_from_the_last_day_on_nothing_is_made if refused({"time": "2027-03-31T00:00:00Z"}, house) == {"usage.trial-ended"}

test_without_a_last_day_nothing_is_made if {
	refused({}, object.remove(house, ["until"])) == {"usage.trial-ended"}
}

test_samples_are_held_by_the_end_of_their_id if {
	held({"request_id": "0195c7a0-0000-7000-8000-000000000000"}) == {"review.sample"}
	held({"request_id": "0195c7a0-0000-7000-8000-000000000008"}) == {"review.sample"}
	held({}) == set()
}

test_nothing_is_held_before_there_are_pictures if {
	held({"stage": "prompt", "request_id": "0195c7a0-0000-7000-8000-000000000000"}) == set()
}

test_samples_go_to_the_people_of_the_trial if data.gateway.image.house.queue == "trial"
