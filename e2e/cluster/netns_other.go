//go:build unix && !linux

package cluster

import "errors"

// InNetns runs do where this process is: network namespaces are Linux's.
func InNetns(path string, do func() error) error { return inNetns(path, do) }

func inNetns(path string, do func() error) error {
	if path != "" {
		return errors.ErrUnsupported
	}
	return do()
}
