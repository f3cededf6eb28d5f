package app

import "testing"

// TestEmbedded: a program that can't read its own CRDs must not be released.
func TestEmbedded(t *testing.T) {
	if _, err := embedded(); err != nil {
		t.Error(err)
	}
}
