package app

import "testing"

// TestDefaultOf: a dry run looks at what AWS serves, whoever serves the rest.
func TestDefaultOf(t *testing.T) {
	for _, tc := range []struct {
		why, standard, want string
	}{
		{"AWS serves all that ask for no class", "aws", "aws"},
		{"another backend does", "pool", ""},
		{"nobody does", "", ""},
	} {
		o := &options{defaultBackend: tc.standard}
		if got := o.defaultOf("aws"); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.why, got, tc.want)
		}
	}
}
