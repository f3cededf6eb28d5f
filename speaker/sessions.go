package speaker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/api/v1beta1"
)

// sessionPace is how long a report about sessions waits where none was reached
// or lost: counts of prefixes come and go with each Service.
const sessionPace = time.Second

// sessions are the peers that this node is to have, as its BGPNodeStatus tells
// of them.
type sessions struct {
	mu    sync.Mutex
	peers []announce.Peer // sorted by name
	// refused says of those that BGP was not told of why not.
	refused map[string]string
	node    *corev1.Node
}

// row is one of them.
type row struct {
	peer    announce.Peer
	session Session
	// refused is why BGP was not told of the peer, empty where it was.
	refused string
}

func (s *sessions) set(peers []announce.Peer, refused map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers, s.refused = peers, refused
}

func (s *sessions) setNode(node *corev1.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node = node
}

// owner is the node.
func (s *sessions) owner() *corev1.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node
}

// rows puts peers and sessions together.
func (s *sessions) rows(all []Session) []row {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := make([]row, len(s.peers))
	for i, peer := range s.peers {
		r := row{peer: peer, refused: s.refused[peer.Name], session: Session{Peer: peer.Name, Address: peer.Address}}
		if j := slices.IndexFunc(all, func(one Session) bool { return one.Peer == peer.Name }); j >= 0 && r.refused == "" {
			r.session = all[j]
		}
		rows[i] = r
	}
	return rows
}

// report is what the BGPNodeStatus says of the peer. Between Established and
// not there are several steps of the state machine, which come and go with every
// attempt; none of them is worth a write on each node.
func (r row) report() v1beta1.BGPSession {
	told := v1beta1.BGPSession{
		Peer:     r.peer.Name,
		State:    "Active",
		Since:    metav1.Time{Time: r.session.Since.Truncate(time.Second)},
		Error:    r.session.Error,
		Prefixes: int32(r.session.Prefixes),
		BFD:      r.session.BFD,
	}
	if r.session.Address.IsValid() {
		told.Address = r.session.Address.String()
	}
	switch {
	case r.refused != "":
		told.State, told.Error = "Idle", r.refused
	case r.session.Established:
		told.State, told.Lacks = v1beta1.Established, r.lacks()
	}
	return told
}

func (r row) lacks() (families []v1beta1.Family) {
	if r.session.LacksIPv4 {
		families = append(families, v1beta1.IPv4)
	}
	if r.session.LacksIPv6 {
		families = append(families, v1beta1.IPv6)
	}
	return families
}

// SessionChanged says that the session with the peer is another one than
// before. It returns at once.
func (s *Speaker) SessionChanged(string) { s.waker.wake(task{subject: theSessions}) }

// reviewSessions has this node's BGPNodeStatus written if the API server has
// another one.
func (s *Speaker) reviewSessions(ctx context.Context) error {
	if !s.ready.Load() {
		return nil // a start looks when it is done
	}
	rows := s.sessions.rows(s.BGP.Sessions())
	s.herald(ctx, rows)
	has, err := s.ownSessions(ctx, s.Cache)
	if err != nil {
		return err
	}
	next := s.onSessions(has, rows)
	switch {
	case has == nil && next == nil:
	case has != nil && next != nil && s.starting():
		// What was last said holds for routers that forward during a restart
		// (RFC 4724), and others decide by it.
		s.waker.wakeAfter(task{subject: theSessions}, time.Until(s.begun.Add(settleTime)))
	case has == nil || next == nil || turned(has.Status.Sessions, next.Status.Sessions):
		s.outbox.post(letter{subject: ownSessions, name: s.Node}, 0)
	case !sameSessions(has, next):
		s.outbox.post(letter{subject: ownSessions, name: s.Node}, sessionPace)
	}
	return nil
}

// turned says whether a session was reached or lost, carries other families, or
// is new or gone.
func turned(before, after []v1beta1.BGPSession) bool {
	return !slices.EqualFunc(before, after, func(a, b v1beta1.BGPSession) bool {
		return a.Peer == b.Peer && a.State == b.State && a.Since.Equal(&b.Since) && slices.Equal(a.Lacks, b.Lacks)
	})
}

func sameSessions(a, b *v1beta1.BGPNodeStatus) bool {
	return equality.Semantic.DeepEqual(a.Status, b.Status) && equality.Semantic.DeepEqual(a.OwnerReferences, b.OwnerReferences)
}

// ownSessions returns the BGPNodeStatus of this node, nil where there is none.
func (s *Speaker) ownSessions(ctx context.Context, from client.Reader) (*v1beta1.BGPNodeStatus, error) {
	status := &v1beta1.BGPNodeStatus{}
	err := from.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: s.Node}, status)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading BGPNodeStatus %s: %w", s.Node, err)
	}
	return status, nil
}

// onSessions returns the BGPNodeStatus as it should be, given how it is, nil
// for none: a node without peers has nothing to tell.
func (s *Speaker) onSessions(has *v1beta1.BGPNodeStatus, rows []row) *v1beta1.BGPNodeStatus {
	if len(rows) == 0 {
		return nil
	}
	next := &v1beta1.BGPNodeStatus{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Node}}
	if has != nil {
		next = has.DeepCopy()
	}
	told := make([]v1beta1.BGPSession, len(rows))
	for i, r := range rows {
		told[i] = r.report()
	}
	next.Status = v1beta1.NewBGPNodeReport(s.Node, s.routes.count(), told)
	next.OwnerReferences = withOwner(next.OwnerReferences, s.sessions.owner())
	return next
}

// writeSessions makes the BGPNodeStatus of this node what it should be.
func (s *Speaker) writeSessions(ctx context.Context) error {
	has, err := s.ownSessions(ctx, s.Live)
	if err != nil {
		return err
	}
	next := s.onSessions(has, s.sessions.rows(s.BGP.Sessions()))
	switch {
	case has == nil && next == nil:
	case has == nil:
		err = s.Client.Create(ctx, next)
	case next == nil:
		err = client.IgnoreNotFound(s.Client.Delete(ctx, has))
	case !sameSessions(has, next):
		err = s.Client.Patch(ctx, next, client.MergeFromWithOptions(has, client.MergeFromWithOptimisticLock{}))
	}
	if err != nil {
		return fmt.Errorf("writing BGPNodeStatus %s: %w", s.Node, err)
	}
	return nil
}

// settleTime is how long a rollout waits for sessions at the most: a router may
// be dead.
const settleTime = 15 * time.Second

// starting says whether sessions may be about to come back as they were.
func (s *Speaker) starting() bool { return !s.ready.Load() || s.settle() != nil }

// settle fails until each router that BGP was told of has been reached, or long
// enough waited for. Once settled, a session that is lost is no reason to hold
// up anything.
func (s *Speaker) settle() error {
	if s.settled.Load() {
		return nil
	}
	for _, r := range s.sessions.rows(s.BGP.Sessions()) {
		if r.refused == "" && !r.session.Established && time.Since(s.begun) < settleTime {
			return fmt.Errorf("no session with BGPPeer %s yet", r.peer.Name)
		}
	}
	s.settled.Store(true)
	return nil
}
