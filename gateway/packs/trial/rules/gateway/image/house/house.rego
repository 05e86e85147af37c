# METADATA
# title: The trial pack's own rules about pictures
# description: A last day, and samples that a person looks at.
# scope: package
# custom:
#   owner: security-team
package gateway.image.house

import data.gateway.config.house

# METADATA
# title: The trial's last day is not over
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-2(2)
trial_running if time.parse_rfc3339_ns(input.time) < time.parse_rfc3339_ns(house.until)

# METADATA
# title: Refuse after the last day, and where none is given
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-2(2)
deny contains data.gateway.lib.reason(
	"usage.trial-ended",
	"The trial is over. Ask those who ran it how it goes on.",
	"low", "gateway.image.house.trial_running", "NIST SP 800-53 AC-2(2)",
) if {
	not trial_running
}

# METADATA
# title: One of the samples, once its pictures are there
# custom:
#   owner: security-team
#   control: NIST AI RMF MEASURE 2.4
sampled if {
	input.stage == "output"
	some ending in house.sample_endings
	endswith(input.request_id, ending)
}

# METADATA
# title: Hold samples for a person
# custom:
#   owner: security-team
#   control: NIST AI RMF MEASURE 2.4
review contains data.gateway.lib.reason(
	"review.sample",
	"During the trial a person looks at some of the pictures first, and this is one of them. You will hear from them.",
	"low", "gateway.image.house.sampled", "NIST AI RMF MEASURE 2.4",
) if {
	sampled
}

# METADATA
# title: Who looks at samples
# custom:
#   owner: security-team
#   control: NIST AI RMF MEASURE 2.4
queue := "trial"
