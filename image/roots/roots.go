// Package roots is the certificates of the authorities that the image trusts
// when it talks to a cloud.
//
// They are a file of the image and not a part of the program, so that they can
// be exchanged by mounting another file in its place, and take no memory where
// none is used.
package roots

import (
	"bytes"
	"encoding/pem"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Path is where Go looks for them.
const Path = "etc/ssl/certs/ca-certificates.crt"

// PEM returns Mozilla's list, without those that it trusts on a condition: a
// file can't say conditions.
func PEM() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return out.Bytes()
}
