# METADATA
# title: Your own rules about pictures
# description: Empty as shipped. What stands here is refused or held beside all the rest; an upgrade leaves it alone.
# scope: package
# custom:
#   owner: security-team
package gateway.image.house

# METADATA
# title: Refused here, whatever the other rules say
# custom:
#   owner: security-team
#   control: NIST SP 800-53 AC-3
deny := set()

# METADATA
# title: Held here for a person to look at
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
review := set()

# METADATA
# title: Who looks at it
# custom:
#   owner: security-team
#   control: NIST AI 600-1 2.3
queue := "content"
