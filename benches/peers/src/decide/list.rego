package qsec

import rego.v1

visible contains id if {
	some place, space in data.spaces
	some principal in data.principals[input.user]
	some role in space.members[principal]
	data.granted[space.kind].App.read[role]
	some id in data.apps[place]
}
