package speaker

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/berth-lb/berth/announce"
)

// reviewPeers looks at the passwords again. What is announced does not depend
// on them.
func (s *Speaker) reviewPeers(ctx context.Context) error {
	if err := s.tellPeers(ctx); err != nil {
		return err
	}
	return s.reviewReport(ctx)
}

// tellPeers tells BGP the peers of this node. One whose password is missing is
// left out alone.
func (s *Speaker) tellPeers(ctx context.Context) error {
	all := s.view.Peers()
	passwords := make(map[string]string, len(s.passwords))
	named := map[string]bool{}
	refused := map[string]string{}
	var problems []announce.Problem
	var peers []announce.Peer
	for _, p := range all {
		named[p.PasswordSecret] = true
		fault := s.fillIn(&p, passwords)
		if fault != "" {
			problems = append(problems, announce.Problem{Object: "BGPPeer " + p.Name, Field: "spec.passwordSecret.name", Message: fault})
		}
		if fault != "" && p.Password == "" {
			refused[p.Name] = fault
			continue
		}
		peers = append(peers, p)
	}
	s.passwords = passwords
	s.secrets.keep(named)
	s.report.refuse(problems)
	s.sessions.set(all, refused)
	s.setPeers(peers)
	return s.reviewSessions(ctx)
}

func (s *Speaker) setPeers(peers []announce.Peer) {
	if slices.EqualFunc(s.peers, peers, samePeer) {
		return
	}
	for _, old := range s.peers {
		i := slices.IndexFunc(peers, func(p announce.Peer) bool { return p.Name == old.Name })
		if i < 0 || !samePeer(peers[i], old) {
			s.heralds.change(old.Name, i < 0)
		}
	}
	s.peers = peers
	s.BGP.SetPeers(slices.Clone(peers))
}

func samePeer(a, b announce.Peer) bool { return reflect.DeepEqual(a, b) }

// fillIn gives p its password, and notes it. Where it can't be had, fault says
// why; while the Secret is away a session goes on with the password that it had,
// since Secrets are replaced by deleting them.
func (s *Speaker) fillIn(p *announce.Peer, passwords map[string]string) (fault string) {
	if p.PasswordSecret == "" {
		return ""
	}
	password, fault := s.password(p.PasswordSecret)
	if last, had := s.passwords[p.PasswordSecret]; fault != "" && had {
		password = last
		fault += "; the session goes on with the password that it had"
	}
	if p.Password = password; password != "" {
		passwords[p.PasswordSecret] = password
	}
	return fault
}

// password reads the Secret; fault says what is wrong with it, and nothing of
// what is in it.
func (s *Speaker) password(name string) (password, fault string) {
	secret, err := s.secrets.get(name)
	switch {
	case apierrors.IsForbidden(err):
		return "", fmt.Sprintf("the speaker may not read Secret %q: name it in the chart's value speaker.passwordSecrets, or have its role allow that", name)
	case err != nil:
		return "", fmt.Sprintf("Secret %q can't be read: %v", name, err)
	case secret == nil:
		return "", fmt.Sprintf("there is no Secret %q of type %s in namespace %s", name, corev1.SecretTypeBasicAuth, s.Namespace)
	}
	// A line break at the end is one of the file that the Secret was made from:
	// no router can be given it.
	password = strings.TrimRight(string(secret.Data[corev1.BasicAuthPasswordKey]), "\r\n")
	switch {
	case password == "":
		return "", fmt.Sprintf("Secret %q has nothing under the key %q", name, corev1.BasicAuthPasswordKey)
	case len(password) > announce.MaxPassword:
		return "", fmt.Sprintf("the password in Secret %q is longer than the %d bytes that Linux allows", name, announce.MaxPassword)
	}
	return password, ""
}
