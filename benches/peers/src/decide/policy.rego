package qsec

import rego.v1

default allow := false

allow if {
	resource := data.resources[input.resource]
	space := data.spaces[resource.space]
	some principal in data.principals[input.user]
	some role in space.members[principal]
	data.granted[space.kind][resource.type][input.action][role]
}
