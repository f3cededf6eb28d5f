//go:build linux

package bgp

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/server"
)

// speaker is a GoBGP server with one neighbour, which may be absent.
type speaker struct {
	link     *link
	server   *server.BgpServer
	neighbor string // empty while there is none
	unwatch  context.CancelFunc
	served   chan struct{}
	id       netip.Addr
}

func newSpeaker(l *link, id netip.Addr) (*speaker, error) {
	s := &speaker{link: l, id: id, served: make(chan struct{}), unwatch: func() {}}
	log := slog.New(listener{log: l.t.opts.Log.WithValues("peer", l.peer.Name), hear: l.hear})
	s.server = server.NewBgpServer(server.LoggerOption(log, nil))
	go func() {
		defer close(s.served)
		s.server.Serve()
	}()
	if err := s.start(); err != nil {
		s.close(false)
		return nil, err
	}
	return s, nil
}

func (s *speaker) start() error {
	if err := s.server.StartBgp(context.Background(), &api.StartBgpRequest{Global: global(s.link.peer, s.id)}); err != nil {
		return fmt.Errorf("starting BGP with router ID %v: %w", s.id, err)
	}
	policy, assignment := onlyOwn()
	if err := s.server.AddPolicy(context.Background(), &api.AddPolicyRequest{Policy: policy}); err != nil {
		return fmt.Errorf("refusing what routers announce: %w", err)
	}
	if err := s.server.SetPolicyAssignment(context.Background(), &api.SetPolicyAssignmentRequest{Assignment: assignment}); err != nil {
		return fmt.Errorf("refusing what routers announce: %w", err)
	}
	return nil
}

// connect has GoBGP keep a session.
func (s *speaker) connect(n *api.Peer, attempt int) error {
	l := s.link
	ctx, cancel := context.WithCancel(context.Background())
	s.unwatch = cancel
	err := s.server.WatchEvent(ctx, server.WatchEventMessageCallbacks{
		OnPeerUpdate: func(e *apiutil.WatchEventMessage_PeerEvent, at time.Time) {
			if e.Type == apiutil.PEER_EVENT_STATE {
				l.later(func() {
					if l.attempt == attempt {
						l.onState(e, at)
					}
				})
			}
		},
	}, server.WatchPeer())
	if err != nil {
		return fmt.Errorf("watching the session: %w", err)
	}
	if err := s.server.AddPeer(context.Background(), &api.AddPeerRequest{Peer: n}); err != nil {
		return fmt.Errorf("beginning the session: %w", err)
	}
	s.neighbor = n.Conf.NeighborAddress
	return nil
}

// disconnect ends the session, with a Cease if it stands.
func (s *speaker) disconnect() {
	s.unwatch()
	if s.neighbor == "" {
		return
	}
	if err := s.server.DeletePeer(context.Background(), &api.DeletePeerRequest{Address: s.neighbor}); err != nil {
		s.link.t.opts.Log.Error(err, "Ending a session", "peer", s.link.peer.Name)
	}
	s.neighbor = ""
}

// close ends the server. It returns when nothing of it runs any more.
func (s *speaker) close(graceful bool) {
	s.unwatch()
	if graceful {
		err := s.server.StopBgp(context.Background(), &api.StopBgpRequest{AllowGracefulRestart: true})
		if err != nil {
			s.link.t.opts.Log.Error(err, "Stopping BGP", "peer", s.link.peer.Name)
		}
	}
	// GoBGP's own BFD runs without sessions, and ends here only.
	s.server.Stop()
	<-s.served
}

// update changes what the router is told, in one go.
func (s *speaker) update(add, remove []*apiutil.Path) {
	if len(remove) > 0 {
		if err := s.server.DeletePath(apiutil.DeletePathRequest{Paths: remove}); err != nil {
			s.link.t.opts.Log.Error(err, "Withdrawing", "peer", s.link.peer.Name)
		}
	}
	if len(add) > 0 {
		if _, err := s.server.AddPath(apiutil.AddPathRequest{Paths: add}); err != nil {
			s.link.t.opts.Log.Error(err, "Announcing", "peer", s.link.peer.Name)
		}
	}
}
