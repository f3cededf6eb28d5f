//go:build race

package aws

// racing says that the race detector watches, which makes everything slow.
const racing = true
