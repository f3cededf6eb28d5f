package speaker

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-lb/berth/announce"
)

// route has BGP announce what has been decided for the Service, nothing where
// that is gone.
func (s *Speaker) route(service types.NamespacedName, uid types.UID, decisions []announce.BGP) {
	changed := s.routes.set(service, decisions)
	// First what is new: a route may take the place of another one of a different
	// length.
	for _, prefix := range changed {
		if paths, ok := s.routes.told(prefix); ok {
			s.BGP.Announce(prefix, paths)
		}
	}
	for _, prefix := range changed {
		if _, ok := s.routes.told(prefix); !ok {
			s.BGP.Withdraw(prefix)
		}
	}
	if len(changed) > 0 {
		s.waker.wakeAfter(task{subject: theSessions}, sessionPace)
	}
	if s.ServiceBGPStatus {
		s.wantStatus(service, uid, s.routes.peersOf(service))
	}
}
