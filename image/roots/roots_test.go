package roots

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
)

func TestRoots(t *testing.T) {
	var names []string
	for rest := PEM(); len(rest) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatal("what follows the last certificate is none")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, certificate.Subject.CommonName)
	}
	// AWS's endpoints are under these.
	if all := strings.Join(names, "\n"); !strings.Contains(all, "Amazon Root CA 1") {
		t.Errorf("%d certificates, and none of Amazon's", len(names))
	}
	if len(names) < 50 {
		t.Errorf("%d certificates; Mozilla trusts more than 50", len(names))
	}
}
