//go:build linux

package install

import (
	"os"
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/berth-lb/berth/e2e/lab"
)

func TestMain(m *testing.M) {
	lab.Main()
	log.SetLogger(logr.Discard()) // else controller-runtime complains of having none
	os.Exit(m.Run())
}
