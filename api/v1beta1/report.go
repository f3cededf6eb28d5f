package v1beta1

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The bounds that the schema sets, in entries and in characters.
const (
	maxSessions = 256
	maxError    = 512
	maxTrouble  = 128
)

// NewBGPNodeReport sums sessions up for the columns and makes the report fit
// the bounds of the schema. Prefixes is how many the node announces. The
// result shares nothing with sessions.
func NewBGPNodeReport(node string, prefixes int, sessions []BGPSession) BGPNodeReport {
	sessions = slices.Clone(sessions)
	slices.SortFunc(sessions, byPeer)
	up := 0
	trouble := ""
	for i := range sessions {
		s := &sessions[i]
		s.Error, s.Lacks = cut(s.Error, maxError), slices.Clone(s.Lacks)
		if s.State == Established {
			up++
		}
		if trouble == "" && (s.State != Established || len(s.Lacks) > 0) {
			trouble = cut(s.trouble(), maxTrouble)
		}
	}
	return BGPNodeReport{
		Node:     node,
		Up:       fmt.Sprintf("%d/%d", up, len(sessions)),
		Prefixes: int32(prefixes),
		Trouble:  trouble,
		Sessions: fit(sessions),
	}
}

// fit keeps established sessions before others: what an address is announced
// through counts for more than what it is not.
func fit(sessions []BGPSession) []BGPSession {
	if len(sessions) <= maxSessions {
		return sessions
	}
	slices.SortStableFunc(sessions, func(a, b BGPSession) int { return cmp.Compare(a.rank(), b.rank()) })
	kept := slices.Clone(sessions[:maxSessions])
	slices.SortFunc(kept, byPeer)
	return kept
}

func byPeer(a, b BGPSession) int { return strings.Compare(a.Peer, b.Peer) }

func (s *BGPSession) rank() int {
	if s.State == Established {
		return 0
	}
	return 1
}

func (s *BGPSession) trouble() string {
	if s.Error == "" {
		return s.Peer + ": " + string(s.State)
	}
	return s.Peer + ": " + s.Error
}

// cut shortens text to at most limit characters, as the schema counts them.
func cut(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}
