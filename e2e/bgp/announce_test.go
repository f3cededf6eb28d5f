//go:build linux

package bgp

// announcing are the stories of what routers are told.
var announcing = []story{
	{"a Service is announced by every node", announcesEverywhere},
	{"an advertisement's attributes are told and edited without a reset", tellsAttributes},
	{"an alias of a Community follows its object", followsAliases},
	{"an aggregate is there while an address in it is", aggregates},
	{"an advertisement is for the peers that it names", choosesPeers},
	{"an advertisement is for the nodes that it selects", choosesNodes},
	{"an advertisement is for the Services that it selects", choosesServices},
	{"two advertisements tell two routers different things", advertisesTwice},
	{"a Service that comes or goes is one UPDATE for each peer", updatesOnce},
	{"a Local Service is announced where its pods are", followsLocalPods},
	{"a Service that keeps its clients is announced by one node", keepsToOneNode},
	{"a node that must not carry traffic withdraws", withdrawsNodes},
	{"a Service without ready pods is withdrawn", withdrawsWithoutPods},
	{"a drained node of a Local Service costs no request", drainsLocalNode},
	{"an excluded node costs no request", excludesUnderLoad},
}

// Routers hear of a Service from every node, their clients reach it, and once it
// is deleted they know nothing of it.
func announcesEverywhere(g *ground) {
	svc := g.serve("first", "web")
	g.announced(svc, g.Nodes...)
	g.reached(svc)
	g.remove(svc.Name)
	g.announced(svc)
}

// peering are the stories of what sessions there are.
var peering = []story{
	{"kubectl shows the sessions of each node", showsSessions},
	{"a Service that no router hears of says so", saysNoSession},
	{"a ServiceBGPStatus names the peers, where it is asked for", keepsServiceStatuses},
	{"what can't be followed is refused alone", refusesAlone},
	{"metrics tell of sessions and prefixes", measures},
	{"a node has the sessions that select it", selectsPeers},
	{"a changed peer has its own session begin anew", restartsOneSession},
	{"a router that refuses is tried again in time", triesAgain},
	{"a session is of every kind that a BGPPeer can ask for", sessionsOfAllKinds},
	{"a session goes over any distance, and carries both families", sessionsOverDistances},
	{"FRR is found on an interface", findsFRR},
	{"BIRD is found on an interface", findsBIRD},
}
