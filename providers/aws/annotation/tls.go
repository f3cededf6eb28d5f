package annotation

import (
	"regexp"
	"slices"
	"strings"
)

var policyName = regexp.MustCompile(`^[A-Za-z0-9-]{1,256}$`)

// tls reads which listeners speak TLS, and how.
func (r *reader) tls(s *Settings) {
	s.Certificates = r.distinct(KeyCertificates, elements(r, KeyCertificates, "ARNs of certificates, as arn:aws:acm:REGION:ACCOUNT:certificate/ID", certificate))
	s.ALPN = r.choice(KeyALPN, "None", "HTTP1Only", "HTTP2Only", "HTTP2Optional", "HTTP2Preferred")
	s.BackendTLS = r.backendTLS()
	if s.SSLPolicy = r.value(KeySSLPolicy); s.SSLPolicy != "" && !policyName.MatchString(s.SSLPolicy) {
		r.refuse(KeySSLPolicy, s.SSLPolicy, "names of AWS's security policies, as ELBSecurityPolicy-TLS13-1-2-2021-06")
	}
	named := elements(r, KeyTLSPorts, r.allowedPorts(), r.port)
	switch {
	case r.value(KeyCertificates) != "":
		s.TLSPorts = r.tlsPorts(named)
	case s.BackendTLS:
		r.problem("%s: ssl needs listeners with TLS; allowed with %s", KeyBackendProtocol, KeyCertificates)
	case len(named) > 0:
		r.warn("%s is not looked at without %s: nothing listens with TLS", KeyTLSPorts, KeyCertificates)
	}
}

// certificate takes those of ACM and of IAM.
func certificate(text string) (string, bool) {
	parts := strings.SplitN(text, ":", 6)
	return text, len(parts) == 6 && parts[0] == "arn" && parts[5] != "" && isWord(text)
}

// backendTLS reads KeyBackendProtocol. Other controllers know http, and the AWS
// Load Balancer Controller takes whatever is not ssl for tcp; where encryption
// was not what was asked for, that does no harm.
func (r *reader) backendTLS() bool {
	switch v := r.value(KeyBackendProtocol); {
	case v == "ssl":
		return true
	case v == "" || v == "tcp":
	case strings.EqualFold(v, "tcp") || strings.EqualFold(v, "http"):
		r.warn("%s: %s means tcp", KeyBackendProtocol, quote(v))
	default:
		r.refuse(KeyBackendProtocol, v, "ssl, tcp")
	}
	return false
}

// tlsPorts returns those named or, where none is, all that may. AWS has no
// listener that speaks both TLS and UDP.
func (r *reader) tlsPorts(named []int32) map[int32]bool {
	ports := map[int32]bool{}
	for _, n := range r.portNumbers() {
		has, chosen := r.protocols(n), slices.Contains(named, n)
		switch {
		case has.tcp && !has.udp:
			ports[n] = chosen || r.value(KeyTLSPorts) == ""
		case has.tcp && chosen:
			r.problem("%s: port %d has TCP and UDP, and a load balancer can't listen with TLS and UDP on one port; allowed are ports with TCP alone", KeyTLSPorts, n)
		case has.tcp && r.value(KeyTLSPorts) == "":
			r.warn("port %d listens without TLS: it has TCP and UDP, and a load balancer can't listen with TLS and UDP on one port", n)
		case chosen:
			r.warn("%s: port %d has no TCP, and listens without TLS", KeyTLSPorts, n)
		}
		if !ports[n] {
			delete(ports, n)
		}
	}
	return ports
}
