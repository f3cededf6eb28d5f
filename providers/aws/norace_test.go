//go:build !race

package aws

const racing = false
