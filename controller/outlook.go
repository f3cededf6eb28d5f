package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-lb/berth/announce"
	berth "github.com/berth-lb/berth/api/v1beta1"
)

// outlook is what is announced by BGP at one moment. It does not change.
type outlook struct {
	survey
	sessions sessions
}

// survey is the part of an outlook that the configuration makes.
type survey struct {
	// reach says who announces the addresses of a Service; nil where nothing is
	// advertised by BGP at all.
	reach func(announce.Input) []announce.Reach
	// view is what reach goes by.
	view *announce.View
}

// scope is of which Services two surveys tell different things.
type scope int

const (
	ofNone scope = iota
	// ofOneNode are those that one node alone may announce.
	ofOneNode
	ofAll
)

// apart says of which Services s and other tell different things.
func (s survey) apart(other survey) scope {
	switch {
	case s.reach == nil && other.reach == nil, s.view != nil && s.view.Same(other.view):
		return ofNone
	case s.view != nil && s.view.SameForMany(other.view):
		return ofOneNode
	}
	return ofAll
}

// routes are who announces the addresses of a Service that are not for layer 2
// alone, and the sessions that may carry them.
type routes struct {
	byBGP    []announce.Reach
	sessions sessions
}

// ask returns the routes of the Service of in.
func (o *outlook) ask(in announce.Input) routes {
	if o.reach == nil {
		return routes{}
	}
	return routes{byBGP: o.reach(in), sessions: o.sessions}
}

// of returns who announces an address; false where it is for layer 2 alone.
func (r routes) of(address netip.Addr) (announce.Reach, bool) {
	for _, one := range r.byBGP {
		if one.Address == address {
			return one, true
		}
	}
	return announce.Reach{}, false
}

// links are, for each address that nodes announce by BGP, a session that
// carries it; the zero link where none does.
func (r routes) links() []link {
	all := make([]link, 0, len(r.byBGP))
	for _, one := range r.byBGP {
		if len(one.Announcers) > 0 {
			carrier, _ := r.sessions.carrier(one)
			all = append(all, carrier)
		}
	}
	return all
}

// link names what a session carries of one family.
type link struct {
	node, peer string
	v6         bool
}

func linkFor(address netip.Addr, node, peer string) link { return link{node, peer, address.Is6()} }

// session is what the condition Serving depends on of one.
type session struct {
	// v4 and v6 say that it is up, and that nothing keeps it from carrying such
	// prefixes.
	v4, v6 bool
	// address is that of the router, if known.
	address string
	// trouble is why it is not up, or does not carry all that it should, if known.
	trouble string
}

// beyond says that s carries what other does not.
func (s session) beyond(other session) bool { return s.v4 && !other.v4 || s.v6 && !other.v6 }

// sessions are all that speakers report, by node and peer.
type sessions map[string]map[string]session

func sessionsOf(reports []berth.BGPNodeStatus) sessions {
	all := make(sessions, len(reports))
	for i := range reports {
		all[reports[i].Name] = sessionsIn(&reports[i])
	}
	return all
}

func sessionsIn(report *berth.BGPNodeStatus) map[string]session {
	all := make(map[string]session, len(report.Status.Sessions))
	for _, s := range report.Status.Sessions {
		lacks := func(f berth.Family) bool { return s.State != berth.Established || slices.Contains(s.Lacks, f) }
		is := session{v4: !lacks(berth.IPv4), v6: !lacks(berth.IPv6)}
		if !is.v4 || !is.v6 {
			is.address, is.trouble = s.Address, s.Error
		}
		all[s.Peer] = is
	}
	return all
}

// carries says that what the link names is there.
func (s sessions) carries(l link) bool {
	if l.v6 {
		return s[l.node][l.peer].v6
	}
	return s[l.node][l.peer].v4
}

// carrier returns the first session that an address is announced through.
func (s sessions) carrier(of announce.Reach) (link, bool) {
	for _, a := range of.Announcers {
		for _, peer := range a.Peers {
			if l := linkFor(of.Address, a.Node, peer); s.carries(l) {
				return l, true
			}
		}
	}
	return link{}, false
}

const (
	// shownSessions is how many sessions a message describes.
	shownSessions = 3
	// maxTrouble is the length, in bytes, at which what is wrong with one of
	// them is cut.
	maxTrouble = 150
)

// against says why an address is not announced by BGP.
func (s sessions) against(r announce.Reach, namespace string) finding {
	if len(r.Announcers) == 0 {
		return finding{reasonOf(r.Reason), r.Message}
	}
	var told []string
	more := 0
	for _, a := range r.Announcers {
		for _, peer := range a.Peers {
			if len(told) == shownSessions {
				more++
				continue
			}
			told = append(told, s.describe(linkFor(r.Address, a.Node, peer), namespace))
		}
	}
	text := strings.Join(told, "; ")
	if more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return finding{announce.ReasonNoSession,
		"no BGP session carries it from a node that announces it (kubectl -n " + namespace + " get bgpnodestatuses): " + text}
}

// describe says what is known of a session that is not up.
func (s sessions) describe(l link, namespace string) string {
	name := "node " + strconv.Quote(l.node) + " to BGPPeer " + strconv.Quote(l.peer)
	known, ok := s[l.node][l.peer]
	if known.address != "" {
		name += " at " + known.address
	}
	switch {
	case !ok:
		return name + " has not been tried: see what the speaker there refuses (kubectl -n " + namespace + " describe configurationstate " +
			announce.ReportName(l.node) + ")"
	case known.trouble == "" && (known.v4 || known.v6):
		return name + " carries prefixes of the other family only"
	case known.trouble == "":
		return name + " is not up yet"
	}
	return name + ": " + strings.ToValidUTF8(known.trouble[:min(len(known.trouble), maxTrouble)], "")
}
