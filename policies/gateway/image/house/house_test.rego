package gateway.image.house_test

test_nothing_is_refused_as_shipped if data.gateway.image.house.deny == set()

test_nothing_is_held_as_shipped if data.gateway.image.house.review == set()

test_the_reviewers_of_content_look_at_it if data.gateway.image.house.queue == "content"
