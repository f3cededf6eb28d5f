package speaker

import (
	"context"
	"fmt"
	"time"

	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Reasons of the events on a BGPPeer.
const (
	eventLost = "SessionLost"
	eventBack = "SessionEstablished"
)

// resetTime is how long after a peer was changed the end of its session is put
// down to that.
const resetTime = 10 * time.Second

// heralds remembers which sessions are established, which were lost, and when
// the user last changed the peer.
type heralds struct {
	established, lost map[string]bool
	changed           map[string]time.Time
}

func newHeralds() heralds {
	return heralds{established: map[string]bool{}, lost: map[string]bool{}, changed: map[string]time.Time{}}
}

// change is for a peer that is another one from now on, or gone: its session
// ends because the user wants it so.
func (h heralds) change(peer string, gone bool) {
	delete(h.lost, peer)
	h.changed[peer] = time.Now()
	if gone {
		delete(h.established, peer)
		delete(h.changed, peer)
	}
}

// news returns the reason of the event that is due, empty for none. That a
// session is established is news only where it was lost before: else each start
// of a speaker would bring an event for each of its peers.
func (h heralds) news(r row) string {
	name := r.peer.Name
	switch was := h.established[name]; {
	case r.session.Established && h.lost[name]:
		delete(h.lost, name)
		h.established[name] = true
		return eventBack
	case r.session.Established:
		h.established[name] = true
	case was:
		delete(h.established, name)
		if changed, ok := h.changed[name]; ok && time.Since(changed) < resetTime {
			break
		}
		h.lost[name] = true
		return eventLost
	}
	return ""
}

// herald sends events about sessions that were lost, and that are back.
func (s *Speaker) herald(ctx context.Context, rows []row) {
	for _, r := range rows {
		reason := s.heralds.news(r)
		if reason == "" {
			continue
		}
		peer := &v1beta2.BGPPeer{}
		if err := s.Cache.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: r.peer.Name}, peer); err != nil {
			continue // deleted just now
		}
		if reason == eventBack {
			s.Events.Event(peer, corev1.EventTypeNormal, reason, fmt.Sprintf("node %q has its session with %s again", s.Node, r.session.Address))
			continue
		}
		message := fmt.Sprintf("node %q lost its session with %s", s.Node, r.session.Address)
		if r.session.Error != "" {
			message += ": " + r.session.Error
		}
		s.Events.Event(peer, corev1.EventTypeWarning, reason, message)
	}
}
